/* SPDX-License-Identifier: MIT */
/**
 * \file    clkv.h
 * \brief   The whole public interface of clkv, and its manual.
 *
 * clkv keeps the KV cache of a transformer compressed on an OpenCL device and computes attention
 * straight from the compressed form. It runs no model: an engine links it, hands over its own
 * cl_context, queues and buffers, and calls four functions per forward pass:
 *
 *     clkv_step_begin(cache, items, n_items, queue, &step, &err);   one plan for all layers
 *     for each layer
 *         clkv_step_append(step, layer, &k, &v, ...);                    this layer's new rows
 *         clkv_step_attend(step, layer, &args, ...);                     attention of the new rows
 *     clkv_step_commit(step, NULL, &err);                                seal what left the window
 *
 * Rules for all functions
 *   - Functions are named clkv_<object>_<verb>, or by what they tell (clkv_cache_stats); types clkv_*, constants CLKV_*.
 *   - They return a clkv_status. On failure the object is as it was before the call and results
 *     are not written. A clkv_error, owned by the caller, may be passed to learn the details.
 *   - Structures that the caller fills begin with struct_size; set it with CLKV_INIT(type) or by
 *     hand. A zero field means its default. Fields that this library doesn't know must be zero.
 *   - Few calls block. Which ones, for a given cache, and why, clkv_cache_blocks says: those that bring data from the device
 *     or take it there, commits that must know what only the device does (sizes of blocks, tokens that are kept),
 *     attention that recalls tokens from host memory, and whatever meets a compiler.
 *   - Kernels that a device may refuse for a tuning's sake are built by clkv_cache_create, which then takes another
 *     tuning. The others, on devices whose tuning has one lane (CPUs), are built by the call that needs
 *     them first; if that fails, it fails as if the launch had (BUILD). clkv_cache_warm builds them before.
 *   - Threads: a context and a cache may be shared by threads. A step and the sequences in it belong
 *     to one thread at a time. A cache has one open step at a time.
 *   - The library never prints, never exits and keeps no global state.
 */
#ifndef CLKV_H
#define CLKV_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#include "clkv_version.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(CLKV_NO_VISIBILITY)
#define CLKV_API __attribute__((visibility("default")))
#else
#define CLKV_API
#endif

/** Sets struct_size and zeroes the rest: clkv_geometry g = CLKV_INIT(clkv_geometry); */
#ifdef __cplusplus
#define CLKV_INIT(type) clkv_init_struct<type>()
#else
#define CLKV_INIT(type)                                                                            \
	{                                                                                              \
		.struct_size = sizeof(type)                                                                \
	}
#endif

/* ---------------------------------------------------------------- status and errors ---- */

/** X(name, value, text, meaning). Values are pinned and never reused. */
#define CLKV_STATUS_LIST(X)                                                                        \
	X(CLKV_OK, 0, "ok", "done")                                                                    \
	X(CLKV_ERROR_INVALID_ARGUMENT, -10, "invalid argument", "a bug of the caller's: fix the call") \
	X(CLKV_ERROR_INVALID_RECIPE, -11, "invalid recipe", "position says where")                     \
	X(CLKV_ERROR_INVALID_STATE, -12, "invalid state", "not allowed at this moment")                \
	X(CLKV_ERROR_UNSUPPORTED, -20, "unsupported", "this device or combination can't do it")        \
	X(CLKV_ERROR_NO_DEVICE, -21, "no such device", "no OpenCL device matches")                     \
	X(CLKV_ERROR_NO_HOST_MEMORY, -30, "out of host memory", "the allocator failed")                \
	X(CLKV_ERROR_NO_DEVICE_MEMORY, -31, "out of device memory", "the device can't hold it")        \
	X(CLKV_ERROR_POOL_FULL, -32, "pool full", "the cache has no room: drop or truncate sequences") \
	X(CLKV_ERROR_OPENCL, -40, "OpenCL call failed", "cl_code and call say which")                  \
	X(CLKV_ERROR_BUILD, -41, "kernel build failed", "the log callback has the build log")          \
	X(CLKV_ERROR_CORRUPT, -50, "corrupt data", "a file from outside is damaged")                   \
	X(CLKV_ERROR_IO, -51, "input or output failed", "a file can't be read or written")             \
	X(CLKV_ERROR_BUSY, -60, "busy", "the cache has an open step")                                  \
	X(CLKV_ERROR_INTERNAL, -90, "internal error", "a bug of the library's: please report it")

typedef enum clkv_status {
#define CLKV_X(name, value, text, meaning) name = value,
	CLKV_STATUS_LIST(CLKV_X)
#undef CLKV_X
} clkv_status;

/** Details of a failure; the caller owns it. The first cause wins. Any function takes NULL. */
typedef struct clkv_error {
	clkv_status status;
	cl_int cl_code; /**< OpenCL's code, or 0 */
	char call[40];  /**< the OpenCL call that failed, or "" */
	int position;   /**< in a recipe string: where the error begins, else -1 */
	char text[256]; /**< names what is wrong and what is allowed */
} clkv_error;

/** Names a status ("pool full"); never NULL. Any thread. Since 0.1. */
CLKV_API const char *clkv_status_string(clkv_status status);

/** Tells the version of the library at run time, as "major.minor.patch" and as a number like CLKV_VERSION_NUMBER. Since 0.1. */
CLKV_API const char *clkv_version(void);
CLKV_API unsigned clkv_version_number(void);

/* ---------------------------------------------------------------- context ---- */

typedef struct clkv_context clkv_context; /**< one device, its built programs and its tuning */
typedef struct clkv_cache clkv_cache;     /**< the page pool of one geometry and one recipe */
typedef struct clkv_seq clkv_seq;         /**< one stream of tokens in a cache */
typedef struct clkv_step clkv_step;       /**< one forward pass, from begin to commit */

/** Host memory. All three set, or all NULL for malloc and free. May be called by any thread that
 *  calls the library, and by those it starts to build programs. alloc returns NULL on failure and memory aligned for any type. */
typedef struct clkv_allocator {
	void *(*alloc)(void *opaque, size_t size);
	void (*free)(void *opaque, void *ptr);
	void *opaque;
} clkv_allocator;

/** How often a level speaks: per context, per cache, per block or build, per launch. */
typedef enum clkv_log_level {
	CLKV_LOG_ERROR = 1,
	CLKV_LOG_CONTEXT = 2,
	CLKV_LOG_CACHE = 3,
	CLKV_LOG_BUILD = 4,
	CLKV_LOG_LAUNCH = 5
} clkv_log_level;

/** Called by threads that call the library and by those it starts to build programs, of a context one at a time. */
typedef void (*clkv_log_fn)(void *opaque, clkv_log_level level, const char *subsystem,
                            const char *text);

typedef struct clkv_context_options {
	size_t struct_size;
	clkv_allocator allocator;
	clkv_log_fn log; /**< NULL: silent */
	void *log_opaque;
	clkv_log_level log_level; /**< 0: CLKV_LOG_CONTEXT */
	const char *cache_dir;    /**< programs and tunings on disk; NULL: CLKV_CACHE_DIR, else
	                               $XDG_CACHE_HOME/clkv, else $HOME/.cache/clkv; "": none */
	const char *kernel_dir;   /**< read kernel sources from here; NULL: CLKV_KERNEL_DIR, else the
	                               embedded ones */
} clkv_context_options;

/** Makes a context on the caller's cl_context and device (both are retained). Blocks while it asks the device.
 *  Reads the environment (CLKV_CACHE_DIR, CLKV_KERNEL_DIR, CLKV_TUNE, CLKV_BUILD_THREADS: threads that
 *  build programs at once, the number of cores unless set) and the tunings that clkv_tuning_store has kept here and
 *  never later. Errors: INVALID_ARGUMENT, NO_HOST_MEMORY, OPENCL, UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_context_create(cl_context context, cl_device_id device,
                                         const clkv_context_options *options, clkv_context **out,
                                         clkv_error *error);

/** Opens a context on a device chosen by name: NULL or "" (the first GPU, else the first device), "gpu",
 *  "cpu", "accelerator", "P:D" (platform and device number as clkv-info lists them), or a part of the
 *  platform's or device's name in any case ("pocl", "radeon"). Platforms without a device are passed
 *  over. Errors: CLKV_ERROR_NO_DEVICE. Since 0.1. */
CLKV_API clkv_status clkv_context_open(const char *device, const clkv_context_options *options,
                                       clkv_context **out, clkv_error *error);

/** Frees a context. Its caches must be destroyed before. NULL is allowed. Since 0.1. */
CLKV_API void clkv_context_destroy(clkv_context *context);

/** Give the cl_context and device of a context: for the buffers and queues of those who opened it by
 *  name. Not retained for the caller. Never NULL. Since 0.1. */
CLKV_API cl_context clkv_context_cl(const clkv_context *context);
CLKV_API cl_device_id clkv_context_device(const clkv_context *context);

/** What the library knows of a device, and what it chose for it. */
typedef struct clkv_device_info {
	size_t struct_size;
	char platform[128], name[128], vendor[128], driver[128], cl_version[128];
	int is_gpu; /**< 1: GPU or accelerator; 0: CPU */
	unsigned compute_units;
	unsigned vector_width; /**< floats in a native vector */
	int has_fp16, has_fp64, has_subgroups;
	uint64_t global_bytes, max_alloc_bytes, local_bytes;
	size_t max_work_group;
	unsigned lanes, vec; /**< work-items per group and their vector width, for caches that have no
	                          tuning of their own in the tuning file */
	char tuning[64];     /**< where these come from */
} clkv_device_info;

/** Fills info. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_context_get_info(const clkv_context *context, clkv_device_info *info,
                                           clkv_error *error);

/* ---------------------------------------------------------------- recipes ---- */

/** Calls fn once per stage, in the order of the table: its name, what it does, its paper or source,
 *  and a line per key "key=default: range and meaning\n". Since 0.1. */
typedef void (*clkv_recipe_list_fn)(void *opaque, const char *stage, const char *brief,
                                    const char *source, const char *keys);
CLKV_API void clkv_recipe_list(clkv_recipe_list_fn fn, void *opaque);

/** A recipe is stages joined by '|', and general keys behind a ';': "kivi:bits=4 ; window=64". Layers may have recipes of their
 *  own: "layers=0-1: f16 ; 2-: kivi:bits=2 ; window=64" gives layers 0 and 1 the first, all others the second. In front of a
 *  colon stand numbers and ranges, one of which may have no end, or one of the names sliding and full, for layers whose
 *  window in the geometry isn't 0, or is. Each layer must have exactly one. skip counts the model's layers, a list of
 *  keep those of its recipe. Such a cache is used as any other; its bytes are the sum of its recipes'. Where a layer's
 *  window isn't 0 and its recipe is "f16", such a cache keeps the window alone.
 *
 *  Writes the recipe in full, with every key, into text (size n, always terminated).
 *  Parsing the result gives the same recipe. Errors: CLKV_ERROR_INVALID_RECIPE (position set),
 *  CLKV_ERROR_INVALID_ARGUMENT when n is too small. Since 0.1. */
CLKV_API clkv_status clkv_recipe_print(const char *recipe, char *text, size_t n, clkv_error *error);

/* ---------------------------------------------------------------- cache ---- */

/** Which two channels of a head RoPE turns together, of dims channels. */
typedef enum clkv_rope_kind {
	CLKV_ROPE_NONE = 0,   /**< the library knows nothing of rotation */
	CLKV_ROPE_HALVES = 1, /**< i and i + dims / 2: NeoX, Llama in the layout of Hugging Face */
	CLKV_ROPE_PAIRS = 2   /**< 2 i and 2 i + 1: Llama in GGUF files */
} clkv_rope_kind;

/** How frequencies are stretched for more tokens than a model was first trained for. */
typedef enum clkv_rope_scaling {
	CLKV_ROPE_UNSCALED = 0,
	CLKV_ROPE_LINEAR = 1, /**< all divided by factor */
	CLKV_ROPE_YARN = 2    /**< the slow ones divided, the fast ones kept (arXiv 2309.00071) */
} clkv_rope_scaling;

/** Rotary position embedding: at position p, pair i of a head's first dims channels turns by
 *      p * base^(-2 i / dims) / factors[i],
 *  scaled as below. Channels behind them stay as they are. kind 0: everything else must be 0 too.
 *  by_library 0: q and k come rotated. 1: both come as they were before RoPE, and the library rotates
 *  them: k when it is appended, q in attention, by the row's position in its sequence. Keys are kept
 *  rotated, so clkv_seq_read gives rotated ones, and so do files; a key must be within half when rotated.
 *  Errors name the field: INVALID_ARGUMENT. */
typedef struct clkv_rope {
	int kind;             /**< clkv_rope_kind */
	int by_library;       /**< who rotates: 0 the caller, 1 the library */
	int dims;             /**< rotary channels: even, up to head_dim_k; 0: head_dim_k */
	float base;           /**< above 1; 0: 10000 */
	const float *factors; /**< [dims / 2] that divide the frequencies (rope_freqs of GGUF), above 0.
	                           Copied by clkv_cache_create. NULL: none */
	float attn_factor;    /**< what is rotated is multiplied by it, q and k alike: above 0; 0: 1 */
	int scaling;          /**< clkv_rope_scaling */
	float factor;         /**< LINEAR: above 0; YARN: 1 and up. Must be set with these, 0 without */
	/* of YARN, else 0 */
	float original;   /**< tokens of the first training, 1 and up; must be set */
	float beta_fast;  /**< pairs that turn oftener than this within them are kept; 0: 32 */
	float beta_slow;  /**< those that turn less often are divided; below beta_fast; 0: 1 */
	float ext_factor; /**< share of the frequency before scaling in those kept, up to 1; 0: 1.
	                       YARN multiplies attn_factor by 1 + ln(factor) / 10 */
} clkv_rope;

/** The shape of the model's attention. Ranges: layers 1 to 1024, q_heads a multiple of kv_heads,
 *  q_heads / kv_heads at most 64, head sizes multiples of 16 from 16 to 256. */
typedef struct clkv_geometry {
	size_t struct_size;
	int layers, q_heads, kv_heads;
	int head_dim_k;    /**< of q and k */
	int head_dim_v;    /**< of v and out; 0: head_dim_k */
	float scale;       /**< of the logits; 0: 1 / sqrt(head_dim_k) */
	float softcap;     /**< logits become cap * tanh(logit / cap); 0: off */
	const int *window; /**< [layers] tokens that a row sees, itself included; 0: all. NULL: all */
	clkv_rope rope;
} clkv_geometry;

typedef struct clkv_cache_options {
	size_t struct_size;
	size_t max_tokens;      /**< of all sequences together; must be set */
	size_t max_step_tokens; /**< new rows of one step; 0: 512 (or max_tokens if fewer) */
	size_t max_sequences;   /**< 0: 1 */
	size_t max_seq_tokens;  /**< of one sequence; 0: max_tokens */
	size_t max_bytes;       /**< refuse to create a cache above this; 0: no limit */
	size_t max_host_bytes;  /**< the same for host memory (tables' mirrors, staging) */
	uint64_t seed;          /**< of stages that draw at random */
	const void *
		codebook; /**< of recipes with one (a2ats): what clkv_seq_save_codebook wrote, read during the
	                             call; NULL: each sequence's first prompt trains its own. Not with layers= */
	size_t codebook_size;
	uint64_t
		model; /**< the caller's number for the model's weights: must be the codebook's, and the
	                             rotation's */
	size_t max_open_tokens; /**< that lie in half at once, of all sequences; 0: max_tokens. Prompts
	                             that are sealed at their end (seal=prompt) must fit in; begin answers
	                             POOL_FULL when there is no room. Layers that never seal have room for
	                             max_tokens all the same */
	const void *rotation;   /**< of recipes with rot=file, which need one: what clkv_rotation_write
	                             or clkv-train --for rotation wrote, read during the call; its model
	                             must be `model`. With layers= too it's of all layers */
	size_t rotation_size;
} clkv_cache_options;

/** Bytes that clkv_cache_create takes: the allocator uses the very same functions. */
typedef struct clkv_bytes {
	size_t struct_size;
	uint64_t device;  /**< all of the below */
	uint64_t sealed;  /**< encoded blocks */
	uint64_t open;    /**< half blocks: tails, sinks, uncompressed layers */
	uint64_t tables;  /**< block tables */
	uint64_t scratch; /**< plans, partial results */
	uint64_t host;    /**< host memory */
	double per_token; /**< of one token more of a long text, sealed, all layers, tables included: of
	                           entropy-coded recipes the most; where tokens are selected, of a number
	                           of slots what layers take that select none (skip), of a share of the
	                           tokens that part of per_slot */
	double per_token_f16; /**< the same without compression and tables */
	uint64_t code_tables; /**< of entropy coding; part of device */
	uint64_t index;       /**< by which tokens are recalled; part of device */
	uint64_t recalled;    /**< slots of rows that place:host,via=copy keeps; part of device */
	double per_slot; /**< where tokens are selected: of one slot of each KV head, all layers that
	                           select, tables included; else 0 */
	uint64_t
		host_sealed;   /**< encoded blocks that lie in host memory (place:host), which sealed leaves
	                           out; part of host. via=map: OpenCL makes it for the device, in the same
	                           buffers as what is open */
	uint64_t rotation; /**< matrices of rot=file; part of device */
} clkv_bytes;

/** Checks whether this device runs this recipe on this geometry, before anything is allocated: OK, or the error says why
 *  not. Never blocks. Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_recipe_check(clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, clkv_error *error);

/** Computes the bytes of a cache that isn't made. A recipe of fixed rate takes exactly max_tokens tokens in them; of one whose
 *  blocks have their own size (kvcomp) it's the room for max_tokens tokens that don't shrink, and as
 *  many more fit in as they do shrink. Any thread; never blocks. Errors: INVALID_ARGUMENT, INVALID_RECIPE,
 *  UNSUPPORTED. Since 0.1. */
CLKV_API clkv_status clkv_bytes_required(clkv_context *context, const clkv_geometry *geometry,
                                         const char *recipe, const clkv_cache_options *options,
                                         clkv_bytes *bytes, clkv_error *error);

/** What sequences take of a cache's memory at a length. Reserved it is whole (clkv_bytes_required): this is how much of it
 *  is in use, as clkv_stats and clkv_seq_info of such a cache say. Scratch, code tables, the newest queries (obs) and slots of
 *  recalled rows aren't in it: they don't depend on lengths. */
typedef struct clkv_bytes_used {
	size_t struct_size;
	int exact;       /**< 1: to the byte. 0: the most that it may be, as blocks have their own size
	                (kvcomp), or scores and keys decide how much each head keeps */
	uint64_t device; /**< all of the next four */
	uint64_t sealed; /**< encoded blocks: clkv_stats.used_sealed */
	uint64_t open;   /**< half blocks: clkv_stats.used_open */
	uint64_t tables; /**< clkv_stats.used_tables */
	uint64_t index;  /**< by which tokens are recalled, with codebooks */
	uint64_t host;   /**< encoded blocks in host memory: clkv_stats.used_host */
	uint64_t sequence;      /**< clkv_seq_info.bytes of each sequence */
	uint64_t sequence_host; /**< clkv_seq_info.host_bytes of each */
	size_t sealed_tokens;   /**< clkv_seq_info.sealed of each */
} clkv_bytes_used;

/** Computes what n_sequences sequences of n_tokens tokens each, which share nothing, have in use of the cache that these
 *  options make, without making it. sealed 1: each is a prompt whose end was committed, in steps of max_step_tokens rows;
 *  what stays in half are its sinks, its window and, of recipes that have an index, what is too short for a segment
 *  (generation adds less than a block, or less than a segment, before it seals again). sealed 0: nothing has left its half
 *  blocks, as until the end of a prompt that is sealed there (seal=prompt): the most that it will take in half. May be
 *  called at any time by any thread; never blocks.
 *  Errors: INVALID_ARGUMENT (more than the options allow), INVALID_RECIPE, UNSUPPORTED, POOL_FULL (so many half blocks
 *  there are not: see max_open_tokens). Since 0.1. */
CLKV_API clkv_status clkv_bytes_at(clkv_context *context, const clkv_geometry *geometry,
                                   const char *recipe, const clkv_cache_options *options,
                                   size_t n_tokens, size_t n_sequences, int sealed,
                                   clkv_bytes_used *bytes, clkv_error *error);

/** Makes a cache: allocates all memory that it will ever take, and builds kernels that the device may refuse. Blocks.
 *  Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL,
 *  BUILD. Since 0.1. */
CLKV_API clkv_status clkv_cache_create(clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, const clkv_cache_options *options,
                                       clkv_cache **out, clkv_error *error);

/** Is told that `done` of `total` programs are built and which was the last (a file's name; "" before the first). Anything
 *  but 0 stops: what is being built is finished, and no other program is begun. */
typedef int (*clkv_progress_fn)(void *opaque, size_t done, size_t total, const char *name);

/** Builds on purpose every program that the cache may ever need and doesn't have yet, on as many threads as there are
 *  cores, so that no later call on the cache waits for a compiler. progress (may be NULL) is called by the
 *  calling thread, with done from 0 to total; never, if there is nothing to build. Stopped by it, the function returns
 *  CLKV_OK: what is missing is built when it is needed. Steps may go on meanwhile, on other threads; the cache must not be destroyed.
 *  What a driver compiles no earlier than at a kernel's first launch (PoCL its work-group functions) can't be had by
 *  this call: OpenCL has no means for it. Where clkv_seq_save and clkv_seq_load go through another recipe, they build its
 *  programs. Errors: BUILD, OPENCL, NO_HOST_MEMORY; what was built stays, and the cache is as usable as before.
 *  Since 0.1. */
CLKV_API clkv_status clkv_cache_warm(clkv_cache *cache, clkv_progress_fn progress, void *opaque,
                                     clkv_error *error);

/** X(name, value, function): calls on a cache, its steps and sequences that may block. Values are pinned. */
#define CLKV_CALL_LIST(X)                                                                          \
	X(CLKV_CALL_STEP_BEGIN, 0, "clkv_step_begin")                                                  \
	X(CLKV_CALL_STEP_APPEND, 1, "clkv_step_append")                                                \
	X(CLKV_CALL_STEP_OBSERVE, 2, "clkv_step_observe")                                              \
	X(CLKV_CALL_STEP_ATTEND, 3, "clkv_step_attend")                                                \
	X(CLKV_CALL_STEP_COMMIT, 4, "clkv_step_commit")                                                \
	X(CLKV_CALL_STEP_ABORT, 5, "clkv_step_abort")                                                  \
	X(CLKV_CALL_SEQ_READ, 6, "clkv_seq_read")                                                      \
	X(CLKV_CALL_SEQ_GET_KEPT, 7, "clkv_seq_get_kept")                                              \
	X(CLKV_CALL_SEQ_SAVE, 8, "clkv_seq_save")                                                      \
	X(CLKV_CALL_SEQ_LOAD, 9, "clkv_seq_load")                                                      \
	X(CLKV_CALL_SEQ_SAVE_CODEBOOK, 10, "clkv_seq_save_codebook")                                   \
	X(CLKV_CALL_CACHE_WARM, 11, "clkv_cache_warm")                                                 \
	X(CLKV_CALL_CACHE_DESTROY, 12, "clkv_cache_destroy")                                           \
	X(CLKV_CALL_SEQ_END_PROMPT, 13, "clkv_seq_end_prompt")                                         \
	X(CLKV_CALL_SEQ_REMOVE, 14, "clkv_seq_remove")

typedef enum clkv_call {
#define CLKV_X(name, value, function) name = value,
	CLKV_CALL_LIST(CLKV_X)
#undef CLKV_X
} clkv_call;

/** What a call may wait for. */
typedef enum clkv_blocks {
	CLKV_BLOCKS_DEVICE = 1,  /**< until the device has done something */
	CLKV_BLOCKS_COMPILER = 2 /**< until a program is built, or read from the cache of programs */
} clkv_blocks;

/** Says what a call on this cache may wait for: 0 for nothing, else CLKV_BLOCKS_* added up. The answer follows from the
 *  recipe and, of compilers, from what is built by now: behind clkv_cache_warm no call of a step meets one. *why (may be
 *  NULL) becomes a text that needs no release; "" for 0. Functions that CLKV_CALL_LIST doesn't name never block, but for
 *  clkv_context_create, clkv_context_open and clkv_cache_create. Not in it: that begin and commit wait when the device
 *  hasn't yet read what the fourth write before this one sent, and that calls of other threads on the same
 *  cache wait while one is inside begin or commit. Any thread. Since 0.1. */
CLKV_API unsigned clkv_cache_blocks(const clkv_cache *cache, clkv_call call, const char **why);

/** The function's name; never NULL. Since 0.1. */
CLKV_API const char *clkv_call_string(clkv_call call);

/** Drops an open step and all sequences with it; waits for the device. NULL is allowed. */
CLKV_API void clkv_cache_destroy(clkv_cache *cache);

/* ---------------------------------------------------------------- tuning ---- */

/** Writes how a cache's kernels are shaped and its attention is cut:
 *  "lanes=1,vec=16,queries=32,groups=6,min_blocks=4 (tuning file)": work-items per group, vector width
 *  of each, most queries of a tile, work-groups per compute unit, least blocks of a split, source.
 *  Behind it, if the device has refused others: "; refused: lanes=64,vec=1,queries=32 (build)".
 *  Of recipes by layer (layers=) one after the other, with " | " between. text has size n; 512 is enough for one.
 *  Errors: INVALID_ARGUMENT when n is too small. Since 0.1. */
CLKV_API clkv_status clkv_cache_tuning(const clkv_cache *cache, char *text, size_t n,
                                       clkv_error *error);

/** Writes the same of a cache to come, without building anything: CLKV_TUNE's, else the one kept for this
 *  device, codec and shape, else that of the device's family. Errors: UNSUPPORTED of recipes by layer (layers=): ask for
 *  each by itself. Since 0.1. */
CLKV_API clkv_status clkv_tuning_get(const clkv_context *context, const clkv_geometry *geometry,
                                     const char *recipe, char *text, size_t n, clkv_error *error);

/** Keeps a measured tuning ("lanes=..,vec=..,queries=..,groups=..,min_blocks=..", all five) in the folder
 *  of programs, for contexts opened later on this device and driver. It counts for every recipe and
 *  geometry with this codec, block size, head sizes and number of query heads per KV head.
 *  path (size n, may be NULL) gets the file's name.
 *  Errors: INVALID_ARGUMENT, INVALID_RECIPE, UNSUPPORTED, IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_tuning_store(const clkv_context *context, const clkv_geometry *geometry,
                                       const char *recipe, const char *tuning, char *path, size_t n,
                                       clkv_error *error);

/* ---------------------------------------------------------------- sequences ---- */

/** Makes an empty sequence. Also while a step is open. Never blocks. Errors: INVALID_ARGUMENT, POOL_FULL when max_sequences
 *  exist, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_create(clkv_cache *cache, clkv_seq **out, clkv_error *error);

/** Makes a second sequence with the same tokens. Blocks are shared until one of the two writes to them. Never blocks.
 *  Errors: INVALID_ARGUMENT, POOL_FULL, BUSY (an open step holds the sequence), NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_fork(clkv_seq *seq, clkv_seq **out, clkv_error *error);

/** Gives each of n different sequences of one cache what another of them, or itself, holds: seqs[i] becomes what seqs[from[i]]
 *  was before the call, as beam search does after each step. Blocks are shared as by clkv_seq_fork, but no room for more
 *  sequences is needed; a beam that nobody wants is freed, and one that is wanted once costs nothing. All or nothing. Never
 *  blocks. Errors: INVALID_ARGUMENT (a sequence twice, or of another cache; from[i] not below n), BUSY (an open step
 *  holds one of them), NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_reorder(clkv_seq *const *seqs, const size_t *from, size_t n,
                                      clkv_error *error);

/** Frees the blocks that no other sequence shares. Inside an open step that happens when the step ends, and the sequence
 *  can't be used for anything else till then. NULL is allowed. Never blocks. Since 0.1. */
CLKV_API void clkv_seq_destroy(clkv_seq *seq);

/** Keeps the first n_tokens tokens. Down to min_length of clkv_seq_info; below it only 0 is allowed, else refused
 *  (INVALID_ARGUMENT). An empty sequence is like a new one. Since 0.1. */
CLKV_API clkv_status clkv_seq_truncate(clkv_seq *seq, size_t n_tokens, clkv_error *error);

/** X(name, value, text): what tokens in half that are neither sinks nor in the window are waiting for. Values are pinned. */
#define CLKV_WAITS_LIST(X)                                                                         \
	X(CLKV_WAITS_WINDOW, 0, "nothing but sinks, window and part of a block is in half")            \
	X(CLKV_WAITS_NEVER, 1, "the recipe seals nothing")                                             \
	X(CLKV_WAITS_PROMPT_END, 2, "they are sealed when their prompt ends")                          \
	X(CLKV_WAITS_INDEX, 3, "they are too few for an index or a codebook")                          \
	X(CLKV_WAITS_BUDGET, 4, "each token has a slot of the budget")                                 \
	X(CLKV_WAITS_ROOM, 5, "the index has no room for them")

typedef enum clkv_waits {
#define CLKV_X(name, value, text) name = value,
	CLKV_WAITS_LIST(CLKV_X)
#undef CLKV_X
} clkv_waits;

/** Names the reason ("they are too few for an index or a codebook"); never NULL. Since 0.1. */
CLKV_API const char *clkv_waits_string(clkv_waits waits);

typedef struct clkv_seq_info {
	size_t struct_size;
	size_t length; /**< tokens */
	size_t
		min_length; /**< truncate goes down to here: above 0 where tokens were selected, or have left the
	                           sliding window of a layer that keeps no more (layers=) */
	size_t
		sealed; /**< tokens in encoded blocks (of the layer that seals most); where tokens are selected,
	                           those that left the window, kept or not */
	uint64_t bytes;      /**< device bytes that hold it: blocks in use (shared ones in full) and
	                           table entries */
	uint64_t host_bytes; /**< of its sealed blocks, if these lie in host memory */
	clkv_waits
		waits; /**< why what is in half hasn't been sealed; of recipes by layer, of that which seals next */
	size_t seals_at; /**< length at which a commit of generation seals next, one row at a time;
	                          not above length: the next commit. May be more than the sequence can
	                          hold. 0: none will. A prompt's end seals all but the window, partial
	                          blocks too, once in the life of a sequence */
} clkv_seq_info;

/** Fills info. Never blocks. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_seq_get_info(const clkv_seq *seq, clkv_seq_info *info, clkv_error *error);

/** Element types of caller's tensors. Half and bfloat16 are rounded to nearest even. */
typedef enum clkv_dtype { CLKV_F32 = 0, CLKV_F16 = 1, CLKV_BF16 = 2 } clkv_dtype;

/** Rows in the caller's buffer, or in host memory: element (token, head, d) lies at
 *  offset + token * token_stride + head * head_stride + d, all in elements of dtype.
 *  Strides of 0 mean packed: head_stride = head size, token_stride = heads * head_stride.
 *  Host memory (host, with mem NULL) may lie at any multiple of its element's size, and is the library's from the call
 *  until the call's event, or anything that the queue does behind it, has completed: what is read must stay as it is,
 *  what is written may be read then, and not before. Devices that share the host's memory (CPUs) read and write it in place.
 *  For others each call makes buffers, which clkv_bytes doesn't count, reads all between the first and the last element,
 *  and of an output writes what lies between its elements back as it was; pinned or mapped memory makes that faster. */
typedef struct clkv_tensor {
	cl_mem mem;
	size_t offset;
	clkv_dtype dtype;
	size_t token_stride, head_stride;
	void *host; /**< in place of mem; of tensors that are only read it isn't written to */
} clkv_tensor;

/** Decodes rows from .. from + n - 1 of one layer into k and v [n][kv_heads][head size]; either may
 *  be NULL. k is rotated, whoever did it. Blocks until done. For checks and export.
 *  Errors: INVALID_ARGUMENT (rows that aren't there, or of which only some tokens were kept), BUSY (a step is open),
 *  OPENCL, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_read(clkv_seq *seq, int layer, size_t from, size_t n,
                                   const clkv_tensor *k, const clkv_tensor *v,
                                   cl_command_queue queue, clkv_error *error);

/** What a KV head has kept of the tokens behind the sinks and before the tail, of recipes that select tokens
 *  (zeromerge, h2o, ...): merged slots first, then tokens in the order of time. Any of the arrays may be NULL;
 *  room is how many slots the others hold. */
typedef struct clkv_kept {
	size_t struct_size;
	size_t room;
	size_t n;    /**< out: slots that there are */
	size_t tail; /**< out: tokens from this one on, and the sinks, lie in half, all of them */
	uint32_t *positions; /**< [room] of a merged slot: its newest token's */
	float *weights;      /**< [room] tokens that the slot stands for */
	float *scores;       /**< [room] by which it was last judged */
	float *k, *v;        /**< [room][head size] as attention reads them */
} clkv_kept;

/** Fills kept for one KV head of a layer. Blocks until done. For checks and export.
 *  Errors: INVALID_ARGUMENT (n says what room must be), UNSUPPORTED (the recipe keeps all tokens), BUSY
 *  (a step is open). Since 0.1. */
CLKV_API clkv_status clkv_seq_get_kept(clkv_seq *seq, int layer, int kv_head, clkv_kept *kept,
                                       cl_command_queue queue, clkv_error *error);

/** Tells how many of the newest rows of a prompt must be attended with, or observed, not only appended: 0 for recipes that don't
 *  look at queries, SIZE_MAX for those that weigh tokens by the attention of all rows. Since 0.1. */
CLKV_API size_t clkv_cache_observes(const clkv_cache *cache);

/** Tells whether the recipe weighs tokens by attention, so that clkv_step_observe needs log-sum-exps: 1 or 0. Since 0.1. */
CLKV_API int clkv_cache_weighs(const clkv_cache *cache);

/* ---------------------------------------------------------------- a step ---- */

/** DECODE: rows of generation. PROMPT: a part of a prompt, more follows. PROMPT_END: the last part of
 *  a prompt: after its commit exactly `window` tokens stay unsealed (a later prompt's end leaves
 *  fewer than window + block, so that partial blocks don't pile up).
 *  PROBE: rows of queries over a sequence as it is, for what was computed before, for scores, for attention across
 *  sequences. They attend as one at the place of its last token would: all see all tokens (of a sliding window the newest),
 *  none is recalled or left out, and RoPE by the library takes that position. Nothing is appended, observed or
 *  reserved; commit (n_kept NULL) changes nothing, and abort does the same. All items of a step are probes, or none. */
typedef enum clkv_phase {
	CLKV_DECODE = 0,
	CLKV_PROMPT = 1,
	CLKV_PROMPT_END = 2,
	CLKV_PROBE = 3
} clkv_phase;

typedef struct clkv_step_item {
	clkv_seq *seq;
	size_t n_tokens; /**< new rows, at least 1; of PROBE rows of q */
	clkv_phase phase;
} clkv_step_item;

/** Begins a forward pass over the new rows of n_items different sequences; rows follow each other in
 *  the order of items in k, v, q and out. Reserves every byte that the pass and its commit can need
 *  and enqueues one plan for all layers. All commands of the step go to queue (of the context's
 *  device, in-order or not; the library orders its own commands).
 *  Errors: INVALID_ARGUMENT, POOL_FULL (nothing has changed), BUSY, OPENCL, NO_HOST_MEMORY, UNSUPPORTED
 *  (a prompt on a sequence whose sealed tokens have left the device: place:host but via=map). */
CLKV_API clkv_status clkv_step_begin(clkv_cache *cache, const clkv_step_item *items, size_t n_items,
                                     cl_command_queue queue, clkv_step **out, clkv_error *error);

/** The same for rows that don't follow each other, as in padded batches: those of item i are rows first_rows[i] and on of k,
 *  v, q, out and lse, in every layer. Items may lie in any order and leave any rows between them, which are neither read
 *  nor written; none may overlap. first_rows NULL: as clkv_step_begin. Such a tensor [batch][padded][heads][dim] with
 *  n[b] rows at the right of batch row b has first_rows[b] = (b + 1) * padded - n[b]. In the texts of the calls of a step,
 *  [rows] is then as many as the last of these rows needs. What a step may reserve counts its own rows only.
 *  Errors: those of clkv_step_begin; INVALID_ARGUMENT (rows of two items overlap). Since 0.1. */
CLKV_API clkv_status clkv_step_begin_rows(clkv_cache *cache, const clkv_step_item *items,
                                          const size_t *first_rows, size_t n_items,
                                          cl_command_queue queue, clkv_step **out,
                                          clkv_error *error);

/** Stores the new rows of one layer. Once per layer and step, before its attend.
 *  k [rows][kv_heads][head_dim_k], v [rows][kv_heads][head_dim_v]; finite, |x| <= 65504 (they are kept
 *  in half at first). A value that isn't finite is stored as 0 (NaN) or +-65504 (infinity, or beyond
 *  half), and counted in clkv_stats. A recipe that turns rows (rot=hadamard) keeps them turned in half, where a
 *  channel may be larger by up to the root of the head size: beyond 65504 it's clamped there too, which isn't
 *  counted. Whether k is rotated already, rope.by_library of the geometry says.
 *  Enqueues, doesn't block. done (may be NULL) receives an event: k and v may be reused after it. */
CLKV_API clkv_status clkv_step_append(clkv_step *step, int layer, const clkv_tensor *k,
                                      const clkv_tensor *v, cl_uint n_wait, const cl_event *wait,
                                      cl_event *done, clkv_error *error);

/** q   [rows][q_heads][head_dim_k], rotated already or not yet, as k is
 *  out [rows][q_heads][head_dim_v]
 *  lse      optional f32 [rows][q_heads]: natural log of the sum of exp(logit), sinks included
 *  sinks    optional f32 [q_heads]: a logit per head that takes part in the softmax with no value */
typedef struct clkv_attend_args {
	size_t struct_size;
	clkv_tensor q, out;
	cl_mem lse;
	size_t lse_offset; /**< in floats */
	cl_mem sinks;
	size_t sinks_offset; /**< in floats */
	float *lse_host;     /**< host memory in place of lse; as clkv_tensor.host; lse_offset counts */
	const float *sinks_host; /**< in place of sinks */
} clkv_attend_args;

/** Computes attention of the step's rows over all tokens of their sequences up to themselves.
 *  Accumulates in f32. Enqueues, doesn't block (but where tokens are recalled from host memory, once per
 *  row of a sequence); done: out (and lse) are written. */
CLKV_API clkv_status clkv_step_attend(clkv_step *step, int layer, const clkv_attend_args *args,
                                      cl_uint n_wait, const cl_event *wait, cl_event *done,
                                      clkv_error *error);

/** q    [rows][q_heads][head_dim_k], as clkv_step_attend takes it
 *  lse  f32 [rows][q_heads]: natural log of the sum of exp(logit) over all that the row saw, as clkv_step_attend writes it.
 *       NULL where the recipe doesn't weigh tokens by attention (clkv_cache_weighs) */
typedef struct clkv_observe_args {
	size_t struct_size;
	clkv_tensor q;
	cl_mem lse;
	size_t lse_offset;     /**< in floats */
	const float *lse_host; /**< in place of lse, as clkv_attend_args has it */
} clkv_observe_args;

/** Hands the queries of the step's rows to the stages that judge by them, in place of clkv_step_attend: for engines that compute
 *  the attention of a prompt by other means. In each layer behind its append; layers of `skip` may be left out. Nothing is
 *  done of recipes that look at no queries (clkv_cache_observes is 0). Stages that look at queries alone (think, spark,
 *  metric=query, morphkv) then do the same, bit for bit, as if the rows had been attended with; those that weigh tokens
 *  do so but for the rounding of lse, which can decide between tokens of nearly equal scores.
 *  Enqueues, doesn't block; done: q and lse may be reused. Errors: INVALID_ARGUMENT, INVALID_STATE (the layer wasn't
 *  appended), OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_step_observe(clkv_step *step, int layer, const clkv_observe_args *args,
                                       cl_uint n_wait, const cl_event *wait, cl_event *done,
                                       clkv_error *error);

/** Ends the step: keeps the first n_kept[i] new rows of item i (NULL: all; fewer when a draft was
 *  rejected, with phase DECODE or PROMPT), seals what left the window, frees what is no longer needed.
 *  Every layer must have been appended. All sequences change together: on failure they are as before the commit and
 *  the step is still open. Commit again, with the same n_kept or another, or abort.
 *  POOL_FULL (of recipes whose blocks have their own size, with an index, or that select tokens): what is sealed found
 *  no room; destroy or truncate other sequences and commit again, or abort. Errors: INVALID_ARGUMENT, INVALID_STATE
 *  (a layer wasn't appended, or not attended with where tokens are chosen by attention), POOL_FULL, OPENCL,
 *  NO_HOST_MEMORY, NO_DEVICE_MEMORY. */
CLKV_API clkv_status clkv_step_commit(clkv_step *step, const size_t *n_kept, clkv_error *error);

/** Ends a prompt whose last rows were committed with CLKV_PROMPT: seals and selects as the commit of CLKV_PROMPT_END would,
 *  with no new rows. For engines that don't know which rows are a prompt's last. Of recipes that seal a prompt at its end
 *  (seal=prompt) the sequence becomes what it would be, bit for bit, had the last rows come with CLKV_PROMPT_END; with
 *  seal=chunk the earlier commits have sealed whole blocks, as ever. Does nothing where a prompt's end has nothing to do.
 *  Stages that choose tokens by the attention of the newest rows (snapkv, morphkv, corm, ...) need that the last committed
 *  step kept all its rows of the sequence and was attended with, or observed, in all layers that seal, and that nothing was
 *  cut off since: else INVALID_STATE.
 *  Enqueues on queue as a commit does. On failure the sequence is as before. Errors: INVALID_ARGUMENT, INVALID_STATE, BUSY
 *  (the cache has an open step), POOL_FULL, OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_seq_end_prompt(clkv_seq *seq, cl_command_queue queue, clkv_error *error);

/** Removes tokens from .. to - 1; those behind move forward by to - from positions, as engines that run out of context do.
 *  Keys are turned back by that many positions, if the geometry's rope says how (kind; whoever rotated them); with kind 0
 *  they stay as they are. Rows that move are decoded, turned, and appended in half: what leaves the window is sealed anew, so
 *  codes lose once more what they lose; rows in half are rounded once more. Tokens before `from` aren't touched, nor
 *  are forks. The next row's position is the new length.
 *  Of the newest tokens (to = length) it's clkv_seq_truncate. Else what is left is made beside what there is: one sequence more
 *  must be allowed than exist (max_sequences), and the pool must have room for the tokens behind `to` once more. Then the
 *  old ones are freed: all or nothing. Tokens that were selected stay in order: from must be min_length of clkv_seq_info at
 *  least (INVALID_ARGUMENT). Recipes that look at queries, or leave out channels, are refused (UNSUPPORTED names the
 *  stage): what they keep belongs to the positions that tokens had. With layers= one such recipe is enough, and of layers
 *  that keep only a sliding window from must be min_length as well.
 *  Not while the cache has an open step, and none may begin before it returns (BUSY). Blocks: each row that moves comes to
 *  the host. Errors: INVALID_ARGUMENT, UNSUPPORTED, BUSY, POOL_FULL, OPENCL, BUILD, NO_HOST_MEMORY, NO_DEVICE_MEMORY.
 *  Since 0.1. */
CLKV_API clkv_status clkv_seq_remove(clkv_seq *seq, size_t from, size_t to, cl_command_queue queue,
                                     clkv_error *error);

/** Drops the step, also one whose commit has failed; its sequences are as before clkv_step_begin. One exception: of a
 *  recipe that looks at the newest queries (obs), those of the step may have displaced older ones. NULL is allowed. */
CLKV_API void clkv_step_abort(clkv_step *step);

/* ---------------------------------------------------------------- files ---- */

/** Takes size bytes (at least 1). Returns size, or less on failure, as fwrite does. */
typedef size_t (*clkv_write_fn)(void *opaque, const void *data, size_t size);

/** Fills in at most size bytes (at least 1) and returns how many; 0 at the end or on failure. It may
 *  bring fewer than it was asked for, as read does, and is asked again. */
typedef size_t (*clkv_read_fn)(void *opaque, void *data, size_t size);

/** Writes a sequence, with checksums; doc/file-format.md describes the bytes. recipe NULL: as it is
 *  stored, so that loading it into a cache of the same recipe gives the same bits. Another recipe, such
 *  as "kvcomp ; window=0": decodes and encodes anew, through a cache of that recipe that exists for the
 *  length of the call. The sequence stays as it is. Not while the cache has an open step, and none may
 *  begin before it returns (BUSY). Blocks until all is written. Errors: IO (write took less than it was given), BUSY, INVALID_RECIPE,
 *  UNSUPPORTED, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL, BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_save(clkv_seq *seq, const char *recipe, cl_command_queue queue,
                                   clkv_write_fn write, void *opaque, clkv_error *error);

/** Reads a sequence that clkv_seq_save wrote, and no byte behind it. It goes in as it is if the recipe's stages
 *  and its block, sinks and skip are the cache's, and if no more tokens are open than the cache's window
 *  allows. Else it is decoded, through a cache of the file's recipe that exists for the length of the call
 *  (its kernel is built when every record has been checked), and appended as a prompt, which the cache's own
 *  recipe seals. q heads, scale, softcap and windows of the geometry may differ. So may rope.by_library: a
 *  file's keys are rotated, and aren't again; that it was by the same rope is the caller's to know. Not while the cache has an open step, and none may begin before it
 *  returns (BUSY). Blocks until done. On failure the cache holds what it held.
 *  Errors: CORRUPT (says which part is damaged), UNSUPPORTED (another geometry, an unknown recipe or version,
 *  rows turned by another rotation),
 *  POOL_FULL, IO (read returned more than it was asked for), BUSY, NO_HOST_MEMORY, NO_DEVICE_MEMORY, OPENCL,
 *  BUILD. Since 0.1. */
CLKV_API clkv_status clkv_seq_load(clkv_cache *cache, cl_command_queue queue, clkv_read_fn read,
                                   void *opaque, clkv_seq **out, clkv_error *error);

/** Writes the codebooks of a sequence, for clkv_cache_options.codebook of later caches: what a long prompt of
 *  many kinds of text has trained serves all sequences of that model, at once and from their first token on.
 *  model: any number that tells its weights from others'. doc/file-format.md describes the bytes. Blocks until all
 *  is written. Errors: INVALID_STATE (the recipe has no codebook or is one by layer, or the sequence has none yet), BUSY, IO,
 *  NO_HOST_MEMORY, OPENCL. Since 0.1. */
CLKV_API clkv_status clkv_seq_save_codebook(clkv_seq *seq, uint64_t model, cl_command_queue queue,
                                            clkv_write_fn write, void *opaque, clkv_error *error);

/** Writes orthogonal matrices, for clkv_cache_options.rotation of caches with rot=file. A row x of a layer's KV head is stored
 *  as x R, with R of k [layers][kv_heads][head_dim_k][head_dim_k] for keys and of v
 *  [layers][kv_heads][head_dim_v][head_dim_v] for values: [channel of the model][channel as stored]. Keys are behind RoPE.
 *  R R^T may differ from the identity by 2^-16 in each entry. model: any number that tells the model's weights from others'.
 *  doc/file-format.md describes the bytes. Any thread; waits for write alone. Errors: INVALID_ARGUMENT, CORRUPT (a matrix that
 *  isn't finite or orthogonal), IO, NO_HOST_MEMORY. Since 0.1. */
CLKV_API clkv_status clkv_rotation_write(const clkv_geometry *geometry, uint64_t model,
                                         const float *k, const float *v, clkv_write_fn write,
                                         void *opaque, clkv_error *error);

/* ---------------------------------------------------------------- figures ---- */

typedef struct clkv_stats {
	size_t struct_size;
	clkv_bytes allocated;                         /**< what the cache took at creation */
	uint64_t used_sealed, used_open, used_tables; /**< device bytes in use now */
	uint64_t sequences, tokens;                   /**< that exist now */
	uint64_t steps, launches;  /**< since creation: steps committed, kernels enqueued */
	uint64_t host_ns;          /**< time inside step functions, OpenCL calls left out */
	uint64_t not_finite;       /**< values replaced at append, known one commit later */
	uint64_t used_code_tables; /**< device bytes of the code tables in use now */
	uint64_t used_host;        /**< bytes of sealed blocks in host memory; used_sealed is 0 then */
	uint64_t used_index;       /**< device bytes of indexes and codebooks in use now */
} clkv_stats;

/** Fills stats. Never blocks: what kernels count is known one commit later. Errors: INVALID_ARGUMENT. Since 0.1. */
CLKV_API clkv_status clkv_cache_stats(const clkv_cache *cache, clkv_stats *stats,
                                      clkv_error *error);

/** Writes a figure that single methods count ("kvcomp.bound_k", "place.rows_found"): clkv_cache_list_figures names them.
 *  Never blocks: what kernels count is known one commit later. Any thread. Errors: INVALID_ARGUMENT (no such name),
 *  UNSUPPORTED (the cache's recipe has no such figure). Since 0.1. */
CLKV_API clkv_status clkv_cache_figure(const clkv_cache *cache, const char *name, double *value,
                                       clkv_error *error);

/** Calls fn for each figure that the cache has; cache NULL: for all that there are. unit: "bytes", "values", "rows", or ""
 *  where it is that of K or V. Since 0.1. */
typedef void (*clkv_figure_fn)(void *opaque, const char *name, const char *unit,
                               const char *meaning);
CLKV_API void clkv_cache_list_figures(const clkv_cache *cache, clkv_figure_fn fn, void *opaque);

#ifdef __cplusplus
}
template <typename T> static inline T clkv_init_struct()
{
	T t = T();
	t.struct_size = sizeof(T);
	return t;
}
#endif

#endif
