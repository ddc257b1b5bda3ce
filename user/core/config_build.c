/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_build.h"

#include "core/config_error.h"
#include "core/config_value.h"

/* ---- names --------------------------------------------------------------------------------- */

static int fail_unknown(const struct config_text *t, const struct config_statement *statement,
			const struct config_section *parent)
{
	const char *nearest = config_keys_nearest(parent, statement->name);
	const char *kind = statement->is_section || !parent->n_keys ? "section" : "key";
	struct config_shown shown;

	config_show(statement->name, &shown);
	if (nearest)
		return config_error_at(t, statement->line, statement->parent,
				       "unknown %s %s: did you mean \"%s\"?", kind, shown.text,
				       nearest);
	return config_error_at(t, statement->line, statement->parent,
			       "unknown %s %s: expected one of sluice.conf(5)", kind, shown.text);
}

static int check_title(const struct config_text *t, const struct config_statement *statement,
		       const struct config_section *section)
{
	if (!section->title == !statement->title.ptr)
		return 0;
	return config_error_at(t, statement->line, statement->parent, "%s: expected %s: %s %s{ }",
			       section->name, section->title ? "a name" : "no name", section->name,
			       section->title ? "NAME " : "");
}

static int resolve_section(const struct config_text *t, uint32_t number,
			   struct config_place *places)
{
	const struct config_statement *statement = &t->statements[number];
	const struct config_section *parent = places[statement->parent].section;
	const struct config_section *section = config_section_find(parent, statement->name);

	assert(parent); /* it comes before what stands in it */
	places[number].section = section;
	if (section)
		return check_title(t, statement, section);
	if (config_key_find(parent, statement->name))
		return config_error_at(t, statement->line, statement->parent,
				       "%.*s is a key: expected %.*s = VALUE",
				       SLICE_ARG(statement->name), SLICE_ARG(statement->name));
	return fail_unknown(t, statement, parent);
}

static int resolve_key(const struct config_text *t, uint32_t number, struct config_place *places)
{
	const struct config_statement *statement = &t->statements[number];
	const struct config_section *parent = places[statement->parent].section;
	const struct config_section *section;

	assert(parent);
	places[number].section = parent;
	places[number].key = config_key_find(parent, statement->name);
	if (places[number].key)
		return 0;
	section = config_section_find(parent, statement->name);
	if (section)
		return config_error_at(t, statement->line, statement->parent,
				       "%s is a section: expected %s %s{ }", section->name,
				       section->name, section->title ? "NAME " : "");
	return fail_unknown(t, statement, parent);
}

int config_resolve(const struct config_text *t, struct config_place **ret_places)
{
	_cleanup_free_ struct config_place *places = calloc(t->n_statements, sizeof(*places));

	if (!places) {
		config_error_file(t->error, t->file, "out of memory");
		return -ENOMEM;
	}
	places[0].section = config_sections[0];
	for (uint32_t i = 1; i < t->n_statements; i++) {
		int r = t->statements[i].is_section ? resolve_section(t, i, places)
						    : resolve_key(t, i, places);

		if (r < 0)
			return r;
	}
	*ret_places = TAKE_PTR(places);
	return 0;
}

/* ---- values -------------------------------------------------------------------------------- */

struct builder {
	const struct config_text *t;
	struct config_place *places;
	cfg_t **sections; /* of each section, what libconfuse made of it; borrowed */
};

static void *field_of(void *object, size_t offset)
{
	return (char *)object + offset;
}

/* Arrays have elements of many types: memcpy() reads no pointer as one to another type. */
static char *get_array(void *object, size_t offset)
{
	char *array;

	memcpy(&array, field_of(object, offset), sizeof(array));
	return array;
}

static void set_array(void *object, size_t offset, void *array)
{
	memcpy(field_of(object, offset), &array, sizeof(array));
}

static int fail_value(const struct builder *b, uint32_t number, uint32_t index, const char *value,
		      int error)
{
	char expected[256];
	struct text_writer w;

	if (error == -ENOMEM)
		return error;
	text_writer_init(&w, expected, sizeof(expected));
	config_value_put_expected(b->places[number].key, error, &w);
	return config_error_value(b->t, number, index, value, "expected %.*s", (int)w.len,
				  expected);
}

static int store_list(const struct builder *b, uint32_t number, cfg_opt_t *option)
{
	const struct config_place *place = &b->places[number];
	size_t size = config_value_element_size(place->key);
	size_t *count = field_of(place->object, place->key->count_offset);
	char *elements;

	if (!b->t->statements[number].is_list)
		return config_error_value(b->t, number, 0, place->value,
					  "expected a list such as %s", place->key->example);
	/* One more, as texts end with a NULL. */
	elements = calloc((size_t)cfg_opt_size(option) + 1, size);
	if (!elements)
		return -ENOMEM;
	set_array(place->object, place->key->offset, elements);
	for (; *count < cfg_opt_size(option); (*count)++) {
		const char *value = cfg_opt_getnstr(option, (unsigned int)*count);
		int r = config_value_store(place->key, value, elements + *count * size);

		if (r < 0)
			return fail_value(b, number, (uint32_t)*count, value, r);
	}
	return 0;
}

static int store_one(const struct builder *b, uint32_t number)
{
	const struct config_place *place = &b->places[number];
	int r;

	if (b->t->statements[number].is_list)
		return config_error_value(b->t, number, 0, place->value,
					  "expected one value, not a list");
	r = config_value_store(place->key, place->value,
			       field_of(place->object, place->key->offset));
	return r < 0 ? fail_value(b, number, 0, place->value, r) : 0;
}

/* libconfuse did not see what we saw: a mistake of ours, never to be passed over. */
static int fail_difference(const struct builder *b, uint32_t number)
{
	return config_error_at(b->t, b->t->statements[number].line, 0,
			       "libconfuse reads this differently");
}

static int store_key(const struct builder *b, uint32_t number)
{
	const struct config_statement *statement = &b->t->statements[number];
	struct config_place *place = &b->places[number];
	cfg_opt_t *option = cfg_getopt(b->sections[statement->parent], place->key->name);

	if (cfg_opt_size(option) != statement->n_values)
		return fail_difference(b, number);
	place->object = b->places[statement->parent].object;
	place->value = cfg_opt_getnstr(option, 0);
	return config_value_is_list(place->key) ? store_list(b, number, option)
						: store_one(b, number);
}

/* ---- sections ------------------------------------------------------------------------------ */

/* The section whose struct has the fields of @section: the nearest one with a name, or the file. */
static const struct config_section *holder_of(const struct config_section *section)
{
	while (section->parent && !section->title)
		section = section->parent;
	return section;
}

static int store_defaults(const struct config_section *holder, void *object)
{
	for (size_t i = 0; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		if (holder_of(section) != holder)
			continue;
		for (size_t k = 0; k < section->n_keys; k++) {
			const struct config_key *key = &section->keys[k];
			int r = 0;

			if (key->fallback)
				r = config_value_store(key, key->fallback,
						       field_of(object, key->offset));
			assert(r == 0 || r == -ENOMEM);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Arrays for the sections with a name that stand directly in this one; all get their elements. */
static int make_arrays(const struct builder *b, uint32_t number)
{
	const struct config_text *t = b->t;
	const struct config_place *place = &b->places[number];

	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *child = config_sections[i];
		size_t n = 0;
		void *array;

		if (child->parent != place->section || !child->title)
			continue;
		for (uint32_t j = number + 1;
		     j < t->n_statements && t->statements[j].parent >= number; j++)
			n += t->statements[j].parent == number && b->places[j].section == child &&
			     !b->places[j].key;
		array = n ? calloc(n, child->element_size) : NULL;
		if (n && !array)
			return -ENOMEM;
		set_array(place->object, child->array_offset, array);
	}
	return 0;
}

/* The next element of the parent's array, with its name. */
static int add_element(const struct builder *b, uint32_t number)
{
	const struct config_statement *statement = &b->t->statements[number];
	struct config_place *place = &b->places[number];
	void *parent = b->places[statement->parent].object;
	char *array = get_array(parent, place->section->array_offset);
	size_t *count = field_of(parent, place->section->count_offset);

	place->object = array + *count * place->section->element_size;
	(*count)++;
	*(char **)place->object = strndup(statement->title.ptr, statement->title.len);
	return *(char **)place->object ? store_defaults(place->section, place->object) : -ENOMEM;
}

static int check_required(const struct builder *b, uint32_t number)
{
	const struct config_section *section = b->places[number].section;

	for (size_t i = 0; i < section->n_keys; i++) {
		const struct config_key *key = &section->keys[i];

		if (key->is_required && !config_text_find(b->t, number, key->name))
			return config_error_at(b->t, b->t->statements[number].line, number,
					       "%s is missing: expected %s = %s", key->name,
					       key->name, key->example);
	}
	return 0;
}

static int store_section(const struct builder *b, uint32_t number)
{
	const struct config_statement *statement = &b->t->statements[number];
	struct config_place *place = &b->places[number];
	const struct config_place *parent = &b->places[statement->parent];
	size_t index = place->section->title
			   ? *(size_t *)field_of(parent->object, place->section->count_offset)
			   : 0;
	int r = 0;

	b->sections[number] =
	    cfg_getnsec(b->sections[statement->parent], place->section->name, (unsigned int)index);
	if (!b->sections[number])
		return fail_difference(b, number);
	if (place->section->title)
		r = add_element(b, number);
	else
		place->object = parent->object;
	if (r < 0 || (r = make_arrays(b, number)) < 0)
		return r;
	return check_required(b, number);
}

static int store_all(const struct builder *b)
{
	int r = store_defaults(b->places[0].section, b->places[0].object);

	if (r < 0 || (r = make_arrays(b, 0)) < 0)
		return r;
	for (uint32_t i = 1; i < b->t->n_statements; i++) {
		r = b->places[i].key ? store_key(b, i) : store_section(b, i);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_build(const struct config_text *t, cfg_t *root, struct config_place *places,
		 struct config *config)
{
	_cleanup_free_ cfg_t **sections = calloc(t->n_statements, sizeof(cfg_t *));
	struct builder b = {.t = t, .places = places, .sections = sections};
	int r = -ENOMEM;

	if (sections) {
		sections[0] = root;
		places[0].object = config;
		r = store_all(&b);
	}
	if (r == -ENOMEM)
		config_error_file(t->error, t->file, "out of memory");
	return r;
}

/* ---- freeing ------------------------------------------------------------------------------- */

static void clear_values(const struct config_section *section, void *object)
{
	for (size_t i = 0; i < section->n_keys; i++)
		config_value_clear(&section->keys[i], field_of(object, section->keys[i].offset));
}

/* As deep as sections with a name stand in each other in the table. */
// NOLINTNEXTLINE(misc-no-recursion)
static void clear_object(const struct config_section *holder, void *object)
{
	for (size_t i = 0; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];
		char *array;
		size_t *count;

		if (holder_of(section) == holder)
			clear_values(section, object);
		if (!section->title || holder_of(section->parent) != holder)
			continue;
		array = get_array(object, section->array_offset);
		count = field_of(object, section->count_offset);
		for (size_t j = 0; j < *count; j++) {
			char *element = array + j * section->element_size;

			clear_object(section, element);
			free(*(char **)element);
		}
		free(array);
		set_array(object, section->array_offset, NULL);
		*count = 0;
	}
}

void config_clear(struct config *config)
{
	clear_object(config_sections[0], config);
}
