/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of a configuration: what no single key can tell, and which one a route means. */
#pragma once
#include "core/config_build.h"

/* What the programs' buckets hold, and from where on they know no rate (bpf/splice_limit.h). */
#define CONFIG_BURST_BYTES_MAX (UINT64_C(1) << 29)
#define CONFIG_RATE_BYTES_MAX  (UINT64_C(1000) << 20)

/**
 * config_check_classes() - check them, complete what is derived, and add CONFIG_CLASS_DEFAULT
 *
 * The array may move: objects of classes in @places are not good any more.
 * Return: 0; -EINVAL with the text's error; -ENOMEM.
 */
int config_check_classes(const struct config_text *t, const struct config_place *places,
			 struct config *config);
/** config_class_of_route() - set what @route, statement @number, has of a class, once its limits
 *  are known. Return: 0, or -EINVAL with the text's error */
int config_class_of_route(const struct config_text *t, uint32_t number, const struct config *config,
			  struct config_route *route);
/** config_class_find() - the class called @name, or NULL */
const struct config_class *config_class_find(const struct config *config, const char *name);
