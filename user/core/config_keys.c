/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_keys.h"

#include "core/config_sections.h"
#include "core/nearest.h"

const struct config_section config_section_file = {.help = "The configuration of sluiced."};

/* In the order of --dump-defaults. */
const struct config_section *const config_sections[] = {
    &config_section_file,     &config_section_worker,  &config_section_process,
    &config_section_admin,    &config_section_kernel,  &config_section_log,
    &config_section_limits,   &config_section_drain,   &config_section_resolver,
    &config_section_listener, &config_section_class,   &config_section_cluster,
    &config_section_ejection, &config_section_breaker, &config_section_health,
    &config_section_endpoint, &config_section_route,   &config_section_match,
    &config_section_headers,  &config_section_respond,
};

const size_t config_n_sections = ARRAY_SIZE(config_sections);

const struct config_section *config_section_find(const struct config_section *parent,
						 struct slice name)
{
	for (size_t i = 0; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		if (section->name && section->parent == parent &&
		    slice_equal(slice_from_str(section->name), name))
			return section;
	}
	return NULL;
}

const struct config_key *config_key_find(const struct config_section *section, struct slice name)
{
	for (size_t i = 0; i < section->n_keys; i++) {
		if (slice_equal(slice_from_str(section->keys[i].name), name))
			return &section->keys[i];
	}
	return NULL;
}

const char *config_keys_nearest(const struct config_section *section, struct slice name)
{
	struct nearest nearest;

	nearest_init(&nearest, name);
	for (size_t i = 0; i < section->n_keys; i++)
		nearest_offer(&nearest, section->keys[i].name);
	for (size_t i = 1; i < config_n_sections; i++) {
		if (config_sections[i]->parent == section)
			nearest_offer(&nearest, config_sections[i]->name);
	}
	return nearest.best;
}
