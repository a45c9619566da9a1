/* SPDX-License-Identifier: MIT */
/**
 * \file    stage_list.h
 * \brief   All stages, in the order in which they are listed; a new one is a line here.
 *
 * CLKV__STAGES(X) is X(f16) X(kivi) and so on: stage_<name>.c defines clkv__stage_<name>.
 */
#ifndef CLKV__STAGE_LIST_H
#define CLKV__STAGE_LIST_H

#define CLKV__STAGES(X)                                                                            \
	X(f16)                                                                                         \
	X(kivi)                                                                                        \
	X(kitty)                                                                                       \
	X(kvquant)                                                                                     \
	X(q)                                                                                           \
	X(kvcomp)                                                                                      \
	X(qtc)                                                                                         \
	X(qaq)                                                                                         \
	X(lowrank)                                                                                     \
	X(lorc)                                                                                        \
	X(recalkv)                                                                                     \
	X(clla)                                                                                        \
	X(cskv)                                                                                        \
	X(csr)                                                                                         \
	X(think)                                                                                       \
	X(spark)                                                                                       \
	X(clusterkv)                                                                                   \
	X(a2ats)                                                                                       \
	X(pages)                                                                                       \
	X(topk)                                                                                        \
	X(place)                                                                                       \
	X(zeromerge)                                                                                   \
	X(streaming)                                                                                   \
	X(h2o)                                                                                         \
	X(snapkv)                                                                                      \
	X(expected)                                                                                    \
	X(kvzip)                                                                                       \
	X(l2norm)                                                                                      \
	X(corm)                                                                                        \
	X(morphkv)                                                                                     \
	X(cascade)                                                                                     \
	X(prefixkv)                                                                                    \
	X(dbudgetkv)                                                                                   \
	X(kvmerger)

#endif
