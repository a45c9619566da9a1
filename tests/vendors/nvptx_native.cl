/* SPDX-License-Identifier: MIT */
/* What libclc's library for NVIDIA lacks and NVIDIA's own compiler has: the native_ functions, which are single
 * instructions there. check-offline.sh links it; no kernel of the library includes it. */
#pragma clang diagnostic ignored "-Wmissing-prototypes"
#define FUNCTION __attribute__((overloadable, always_inline))
typedef float float2 __attribute__((ext_vector_type(2)));
typedef float float4 __attribute__((ext_vector_type(4)));
typedef float float8 __attribute__((ext_vector_type(8)));
typedef float float16 __attribute__((ext_vector_type(16)));

#define ONE(name, instruction)                                                                     \
	float FUNCTION name(float x)                                                                   \
	{                                                                                              \
		float y;                                                                                   \
		__asm__(instruction ".approx.f32 %0, %1;" : "=f"(y) : "f"(x));                             \
		return y;                                                                                  \
	}
#define HALVES(name, type)                                                                         \
	type FUNCTION name(type x)                                                                     \
	{                                                                                              \
		return (type)(name(x.lo), name(x.hi));                                                     \
	}
#define VECTORS(name)                                                                              \
	HALVES(name, float2) HALVES(name, float4) HALVES(name, float8) HALVES(name, float16)

ONE(native_exp2, "ex2")
ONE(native_log2, "lg2")
ONE(native_recip, "rcp")
ONE(native_rsqrt, "rsqrt")
ONE(native_sqrt, "sqrt")
VECTORS(native_exp2)
VECTORS(native_log2)
VECTORS(native_recip)
VECTORS(native_rsqrt)
VECTORS(native_sqrt)

float FUNCTION native_exp(float x)
{
	return native_exp2(x * 1.44269504088896340736f);
}

float FUNCTION native_log(float x)
{
	return native_log2(x) * 0.69314718055994530942f;
}

VECTORS(native_exp)
VECTORS(native_log)
