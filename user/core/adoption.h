/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking over what an earlier daemon has left to the kernel, killed or stopped.
 *
 *   main thread, before the workers run       their threads, in slices between their other work
 *   adoption_new()                            connections are listed, timed and ended like their
 *     reads and sorts out the pinned maps       own from here on; what has ended meanwhile is
 *     (core/leftovers.h), marks the ports       accounted for at once
 *     that are in use                         entries of ended ones see their quarantine
 *   adoption_begin()  --- a part each --->    strays are removed, and their peers told by an RST
 *
 * Names, and the limits that the connection was opened with, are those of its record: the
 * configuration may have been edited since. So it belongs to a generation of its own, which stands
 * for the one that is gone; from there it follows the next reload like any other, if there is a
 * route and an endpoint of these names. Only where the route of its name has `splice = off` by now
 * it goes back to the relay at once.
 */
#pragma once
#include "base/std.h"
#include "core/generation.h"
#include "core/splice.h"

struct adoption;
struct worker;

/**
 * adoption_new() - see what there is
 * @generation: that the workers begin with
 *
 * Return: 0, also if there is nothing; -ENOMEM or -errno of bpf(2).
 */
int adoption_new(struct splice *splice, struct generation *generation,
		 struct adoption **ret_adoption);
/** adoption_free() - the workers have been freed. NULL is fine */
void adoption_free(struct adoption *adoption);
/** adoption_begin() - the workers run: hand everything out. Return: 0 or -ENOMEM */
int adoption_begin(struct adoption *adoption, struct worker **workers, unsigned int n_workers);
/** adoption_last_id() - the highest id of a connection that was found, or 0 */
uint64_t adoption_last_id(const struct adoption *adoption);
