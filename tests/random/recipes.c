/* SPDX-License-Identifier: MIT */
/** \file recipes.c \brief The table of recipes. Windows are small, so that a few hundred tokens go through everything. */
#include "recipes.h"

#include "../support/random.h"

#include <stdio.h>
#include <string.h>

#define SMALL " ; window=16,sinks=3,block=32"
#define CHUNK " ; window=16,sinks=4,block=32,seal=chunk,skip=0"
#define AFTER " ; window=16,sinks=4,block=32,skip=0"

static const char *const recipes[] = {
	"f16",
	"kivi:bits=4 ; window=32",
	"kivi:bits=2" SMALL,
	"kivi:k=3,v=8,group=16 ; window=0,sinks=1",
	"kivi:k=6,v=5,group=64 ; window=40,skip=1",
	"kivi:bits=4 ; window=20,sinks=5,seal=prompt,block=128",
	"kitty ; window=16",
	"kvquant ; window=16,sinks=4",
	"kvquant:k=2,v=4,group=16,outliers=0.04" SMALL,
	"kitty:boost=0.5,group=16" SMALL,
	"q ; window=16",
	"q:k=2,v=3,axis_k=channel,group=16" SMALL,
	"q:k=5,v=6,axis_v=channel,sym=1 ; window=0",
	"q:k=16,v=4 ; window=10",
	"q:k=4,v=16,axis_k=channel,sym=1,group=128 ; window=10,block=128",
	"q:k=4,v=4,rot=hadamard ; window=16,sinks=2",
	"q:k=8,v=3,sym=1,rot=hadamard,group=16" SMALL,
	"q:k=4,v=6,rot=file" SMALL,
	"q:k=2,v=2,rot=file,clip_k=0.96,clip_v=0.92" SMALL,
	"q:k=3,v=4,axis_k=channel,clip_k=0.8,sym=1" SMALL,
	"lowrank:rank=0.5" SMALL,
	"lowrank:k=0.25,v=0.75 | kivi:bits=4 ; window=20",
	"lowrank:k=16,v=1 | q:k=5,v=4,axis_k=channel,axis_v=channel,group=16" SMALL,
	"lorc:rank=0.5" SMALL,
	"lorc:k=0.5,v=0.75 | q:k=4,v=4,axis_k=channel,axis_v=channel ; window=20",
	"lowrank:k=16,v=1,heads_v=0 | q:k=5,v=4,axis_v=channel,group=16" SMALL,
	"lowrank:heads_k=0,rank=0.5,rope=before | kivi:k=2,v=3 ; window=10,skip=1",
	"lowrank:share=2,heads_k=0,heads_v=0,rank=0.5,rope=before | "
	"q:k=5,v=4,axis_k=channel,axis_v=channel,group=16 ; window=10",
	"cskv:bits=3,group=16 ; window=10,sinks=2,skip=1",
	"csr:atoms=16,pairs=3,chunks_v=1" SMALL,
	"csr:atoms=16,pairs=16,chunks_v=1 ; window=20,seal=prompt",
	"kvcomp ; window=16",
	"kvcomp:entropy=huffman" SMALL,
	"kvcomp:entropy=huffman,rel_k=0.02,rel_v=0.05,lane_codes=64,exact=3 ; window=0",
	"kvcomp:entropy=none,unit_k=block ; window=24,sinks=1",
	"kvcomp:entropy=pack,abs_k=0.05,abs_v=0.02,verify=1 ; window=20,seal=prompt",
	"kvcomp:verify=1,exact=0,unit_k=block,entropy=huffman,lmax=5,rel_k=0.05 ; window=8,skip=1",
	"qaq:n=3" SMALL,
	"qaq:bmin=0,bmax=3,eps=3,outliers=0.1 ; window=20,seal=prompt",
	"qaq:n=2,centre=mean,outliers=0 ; window=0,skip=1",
	"think:keep=0.6 ; window=16,seal=chunk",
	"think:keep=0.5,refresh=0,qagg=mean,values=0.5 ; window=20,sinks=2",
	"think:keep=0.75 | kvcomp ; window=16",
	"think:keep=0.5/0.75 | q:k=5,v=3" SMALL,
	"think:keep=0.5/0.75 | kitty" SMALL,
	"spark:keep=0.5 | kitty:boost=0.3 ; window=16",
	"spark ; window=16",
	"spark:keep=0.25,recover=signmag,values=0.5" SMALL,
	"spark:mode=group,recover=mean | q:k=16,v=4 ; window=16,seal=chunk",
	"spark:keep=0.5,recover=const | kvcomp:entropy=huffman ; window=24",
	"zeromerge:budget=96" AFTER,
	"zeromerge:budget=80,residual=0.3,lambda=0.98,metric=l2,init=first,mean=count" CHUNK,
	"zeromerge:budget=0.4,residual=0,obs=16,evict=any" AFTER,
	"zeromerge:budget=100,alloc=adaptive | kivi:bits=4" AFTER,
	"h2o:budget=96,recent=0.5" CHUNK,
	"h2o:budget=0.5" AFTER,
	"h2o:budget=120 | kvcomp:entropy=huffman" AFTER,
	"h2o:budget=120 | kitty" AFTER,
	"h2o:budget=120 | kvquant" AFTER,
	"h2o:budget=120 | qaq" AFTER,
	"snapkv:budget=80,obs=16 | qaq:n=1,bmin=0" AFTER,
	"snapkv:budget=80,obs=16,pool=5" AFTER,
	"snapkv:budget=90,obs=12,agg=max" AFTER,
	"snapkv:budget=60,obs=8,pool=7,pooling=max,gqa=max | q:k=4,v=4,rot=hadamard" CHUNK,
	"expected:budget=80,obs=16" AFTER,
	"expected:budget=90,obs=40,ahead=1,gqa=max" CHUNK,
	"expected:budget=120,obs=16 | kvmerger:heavy=0.3" AFTER,
	"expected:budget=0.5,obs=16,spread=0 | think:keep=0.5,obs=16 | q:k=4,v=4" AFTER,
	"kvzip:budget=80" AFTER,
	"kvzip:budget=0.5,alloc=uniform | kivi:bits=4" AFTER,
	"kvzip:budget=90 | qaq:bmin=0" AFTER,
	"streaming:budget=64" AFTER,
	"streaming:budget=2000" CHUNK,
	"l2norm:budget=80" CHUNK,
	"l2norm:budget=0.5 | think:keep=0.5,values=0.5" AFTER,
	"corm:obs=16" AFTER,
	"corm:obs=8" CHUNK,
	"morphkv:budget=80,obs=16" CHUNK,
	"morphkv:budget=70,obs=30,agg=max" AFTER,
	"cascade:budget=80,rings=3" CHUNK,
	"cascade:budget=100,rings=4,beta=0.99 | kivi:bits=4" AFTER,
	"prefixkv:budget=0.5" AFTER,
	"prefixkv:budget=90" AFTER,
	"dbudgetkv:tau=0.05,obs=4" AFTER,
	"kvmerger:budget=100" AFTER,
	"kvmerger:similar=0.8 | kivi:bits=4" AFTER,
	"h2o:budget=120 | kvmerger:heavy=0.3" AFTER,
	"topk:recall=64,every=128 ; window=32,sinks=5",
	"pages:recall=64,page=16,every=128 ; window=16,sinks=4,block=32",
	"clusterkv:recall=64,per=8,every=128,metric=cosine ; window=16,sinks=4",
	"clusterkv:recall=290,every=128,metric=query ; window=16",
	"a2ats:recall=64,codes=32,every=128 ; window=16,sinks=4",
	"kivi:bits=4 | a2ats:recall=100,codes=32,every=128 ; window=16",
	"q:k=8,v=8 | pages:recall=290,page=8,every=128,gqa=group ; window=0",
	"kvcomp:entropy=huffman | topk:recall=80,every=128 ; window=16",
	"kitty:boost=0.3 | topk:recall=80,every=128 ; window=16",
	"kvquant | topk:recall=80,every=128 ; window=16,sinks=0",
	"qaq | pages:recall=64,page=16,every=128 ; window=16",
	"clusterkv:recall=64,per=8,every=128 | place:via=map ; window=16,sinks=4",
	"clusterkv:recall=64,per=8,every=128 | place:via=copy ; window=16,sinks=4",
	"a2ats:recall=290,codes=32,every=128 | place:via=copy ; window=16",
	"pages:recall=64,page=16,every=128 | place:via=attend ; window=16,sinks=4",
	"kivi:bits=4 | place:via=map" SMALL,
	"kvcomp:entropy=huffman | place:via=map" SMALL,
	"kitty | place:via=map" SMALL,
	"kvquant | place:via=map" SMALL,
	"qaq | place:via=map" SMALL,
};

static const char *draw_one(uint64_t number)
{
	return recipes[random_below(number, sizeof recipes / sizeof *recipes)];
}

/* The layers of a part: "0,2: ", and of the last ones "2-: " now and then. False: it has none. */
static bool put_layers(const size_t *part, int layers, size_t which, bool open, char *text)
{
	const char *comma = "";
	for (int i = 0; i < layers; i++) {
		int last = i;
		while (last < layers && part[last] == which)
			last++;
		bool rest = open && last == layers && i < layers;
		if (part[i] == which)
			text += sprintf(text, "%s%d%s", comma, i, rest ? "-" : "");
		if (part[i] == which)
			comma = ",";
		if (part[i] == which && rest)
			break;
	}
	strcpy(text, ": ");
	return *comma != 0;
}

/* Each layer's recipe is one of two or three; each is named once, in any order of layers. */
static void draw_chain(uint64_t seed, int layers, char *text)
{
	uint64_t state = random_mix(seed, 62);
	size_t part[4], parts = 2 + random_below(random_next(&state), 2);
	bool open = random_below(random_next(&state), 2) == 0;
	for (int i = 0; i < layers; i++)
		part[i] = random_below(random_next(&state), parts);
	const char *before = "layers=";
	for (size_t p = 0; p < parts; p++) {
		char which[32];
		const char *recipe = draw_one(random_next(&state));
		if (!put_layers(part, layers, p, open, which))
			continue;
		text += snprintf(text, RECIPES_TEXT / 4, "%s%s%s", before, which, recipe);
		before = " ; ";
	}
}

void recipes_draw(uint64_t seed, int layers, bool always, char text[RECIPES_TEXT])
{
	if (always || random_below(random_mix(seed, 63), 3) == 0)
		draw_chain(seed, layers, text);
	else
		snprintf(text, RECIPES_TEXT, "%s", draw_one(random_mix(seed, 61)));
}

static const char *const fixed[] = {
	"f16",
	"kivi:bits=4 ; window=40,sinks=3",
	"q:k=3,v=3,rot=hadamard,sym=1 ; window=20,sinks=2",
	"kvcomp:entropy=huffman ; window=40,sinks=3",
	"qaq ; window=40,sinks=3",
	"spark:mode=group,values=0.5 ; window=40,sinks=3,seal=chunk",
	"streaming:budget=72" AFTER,
	"h2o:budget=96,recent=0.5" AFTER,
	"snapkv:budget=72,obs=16,pool=5,pooling=avg,gqa=mean" AFTER,
	"expected:budget=72,obs=16,gqa=mean" AFTER,
	"l2norm:budget=80" CHUNK,
	"morphkv:budget=80,obs=16,agg=sum" AFTER,
	"corm:obs=6" AFTER,
	"zeromerge:budget=96" AFTER,
	"zeromerge:budget=96,tail=0.25,residual=0.3334,init=first,peak=0,mean=count,mass=sum" AFTER,
	"kvmerger:similar=0.8,heavy=0.1" AFTER,
	"topk:recall=64,every=128,most=1024 ; window=32,sinks=5",
	"pages:recall=64,page=16,every=128,most=1024 ; window=32,sinks=5",
	"clusterkv:recall=64,per=8,every=128,most=1024 ; window=32,sinks=5",
	"a2ats:recall=64,codes=32,every=128,most=1024 ; window=32,sinks=5",
	"clusterkv:recall=64,per=8,every=128,most=1024 | place:via=copy ; window=32,sinks=5",
	"layers=0: f16 ; 1: kivi:bits=4 ; window=40,sinks=3",
	"layers=1: h2o:budget=96,recent=0.5" AFTER " ; 0: kvcomp:entropy=huffman ; window=40,sinks=3",
	"layers=0: topk:recall=64,every=128,most=1024 ; window=32,sinks=5 ; 1-: "
	"streaming:budget=72" AFTER,
};

const char *recipes_fixed(size_t i)
{
	return i < sizeof fixed / sizeof *fixed ? fixed[i] : NULL;
}
