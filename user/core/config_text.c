/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_text.h"

#include "core/config_error.h"
#include "proto/utf8.h"

enum token_kind {
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_EQUALS,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_COMMA,
	TOKEN_END,
	N_TOKENS,
};

struct token {
	enum token_kind kind;
	struct slice text; /* of a string: between the quotes, escapes as written */
};

/*
 * The grammar; "value" is a word or a string.
 *
 *   STATEMENT --word--> NAMED --"="--> VALUE --value--> STATEMENT
 *       |                 |              '--"{"--> LIST_FIRST --value--> LIST_NEXT
 *       |                 |
 *       |                 '--value--> TITLED --"{"--> STATEMENT, one deeper
 *       |                 '--"{"--> STATEMENT, one deeper
 *       '--"}"--> STATEMENT, one up
 *
 *   LIST_NEXT --","--> LIST_MORE --value--> LIST_NEXT
 *       '--"}"----------- '--"}"--> STATEMENT
 */
enum state {
	STATEMENT,
	NAMED,
	TITLED,
	VALUE,
	LIST_FIRST,
	LIST_NEXT,
	LIST_MORE,
	N_STATES,
};

enum action {
	REFUSE,
	TAKE_NAME,
	TAKE_TITLE,
	BEGIN_KEY,
	BEGIN_SECTION,
	END_SECTION,
	BEGIN_LIST,
	ADD_VALUE,
	GO_ON,
	FINISH,
};

static const struct {
	enum action action;
	enum state next;
} grammar[N_STATES][N_TOKENS] = {
    [STATEMENT] = {[TOKEN_WORD] = {TAKE_NAME, NAMED},
		   [TOKEN_CLOSE] = {END_SECTION, STATEMENT},
		   [TOKEN_END] = {FINISH, STATEMENT}},
    [NAMED] = {[TOKEN_EQUALS] = {BEGIN_KEY, VALUE},
	       [TOKEN_OPEN] = {BEGIN_SECTION, STATEMENT},
	       [TOKEN_WORD] = {TAKE_TITLE, TITLED},
	       [TOKEN_STRING] = {TAKE_TITLE, TITLED}},
    [TITLED] = {[TOKEN_OPEN] = {BEGIN_SECTION, STATEMENT}},
    [VALUE] = {[TOKEN_WORD] = {ADD_VALUE, STATEMENT},
	       [TOKEN_STRING] = {ADD_VALUE, STATEMENT},
	       [TOKEN_OPEN] = {BEGIN_LIST, LIST_FIRST}},
    [LIST_FIRST] = {[TOKEN_WORD] = {ADD_VALUE, LIST_NEXT}, [TOKEN_STRING] = {ADD_VALUE, LIST_NEXT}},
    [LIST_NEXT] = {[TOKEN_COMMA] = {GO_ON, LIST_MORE}, [TOKEN_CLOSE] = {GO_ON, STATEMENT}},
    [LIST_MORE] = {[TOKEN_WORD] = {ADD_VALUE, LIST_NEXT},
		   [TOKEN_STRING] = {ADD_VALUE, LIST_NEXT},
		   [TOKEN_CLOSE] = {GO_ON, STATEMENT}},
};

static const char *const expected[N_STATES] = {
    [STATEMENT] = "a key or a section",
    [NAMED] = "\"= VALUE\" after a key, \"{\" or \"NAME {\" after a section",
    [TITLED] = "\"= VALUE\" after a key, \"{\" or \"NAME {\" after a section",
    [VALUE] = "a value after \"=\"",
    [LIST_FIRST] = "a value in the list",
    [LIST_NEXT] = "\",\" or \"}\" after a value of a list",
    [LIST_MORE] = "a value or \"}\" after \",\"",
};

struct scanner {
	struct config_text *t;
	char *p, *end; /* in t->text; *end is NUL, and there is no other */
	uint32_t line;
	enum state state;
	struct slice name, title; /* of the statement that has begun */
	uint32_t name_line;
	uint32_t open[CONFIG_DEPTH_MAX + 1]; /* statement numbers; [0] is the file */
	uint32_t depth, n_sections;
	size_t statements_cap, values_cap;
};

static int fail(const struct scanner *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int fail(const struct scanner *s, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = config_error_vat(s->t, s->line, s->open[s->depth], fmt, args);
	va_end(args);
	return r;
}

/* ---- bytes --------------------------------------------------------------------------------- */

/*
 * Valid UTF-8 without control characters, comments included: nothing hides from whoever looks at
 * the file. Line ends become plain, a byte order mark becomes blanks.
 */
static int check_bytes(struct scanner *s)
{
	struct utf8_state utf8;
	unsigned char first = 0; /* of the character at hand */

	utf8_init(&utf8);
	if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
		memset(s->p, ' ', 3);
	for (char *p = s->p; p < s->end; p++) {
		unsigned char c = (unsigned char)*p;

		if (utf8_is_complete(&utf8))
			first = c;
		if (utf8_feed(&utf8, &c, 1, NULL) < 0)
			return fail(s, "byte 0x%02x: expected UTF-8", first);
		if (c == '\r' && p[1] == '\n')
			*p = ' ';
		else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
			return fail(s, "byte 0x%02x: expected text without control characters", c);
		if (c == '\n')
			s->line++;
	}
	if (!utf8_is_complete(&utf8))
		return fail(s, "byte 0x%02x: expected UTF-8", first);
	s->line = 1;
	return 0;
}

/* ---- tokens -------------------------------------------------------------------------------- */

static void blank(char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p != '\n')
			*p = ' ';
	}
}

static int skip_block_comment(struct scanner *s)
{
	char *close = s->p + 2;
	uint32_t n_lines = 0;

	for (; close[0] != '*' || close[1] != '/'; close++) {
		if (close == s->end)
			return fail(s, "a comment is not closed: expected \"*/\"");
		n_lines += *close == '\n';
	}
	blank(s->p, close + 2);
	s->p = close + 2;
	s->line += n_lines;
	return 0;
}

static void skip_line_comment(struct scanner *s)
{
	while (s->p < s->end && *s->p != '\n')
		*s->p++ = ' ';
}

/* Comments are blanked on the way: libconfuse never meets one. */
static int skip_blanks(struct scanner *s)
{
	for (;;) {
		if (*s->p == ' ' || *s->p == '\t') {
			s->p++;
		} else if (*s->p == '\n') {
			s->line++;
			s->p++;
		} else if (*s->p == '#' || (s->p[0] == '/' && s->p[1] == '/')) {
			skip_line_comment(s);
		} else if (s->p[0] == '/' && s->p[1] == '*') {
			int r = skip_block_comment(s);

			if (r < 0)
				return r;
		} else {
			return 0;
		}
	}
}

/* Fewer characters than libconfuse takes for a word: none has a meaning of its own there. */
static const bool is_word_character[UINT8_MAX + 1] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true, ['.'] = true,
    [':'] = true,         ['/'] = true,         ['@'] = true,         ['%'] = true, ['~'] = true,
    ['-'] = true,         ['['] = true,         [']'] = true,
};

static size_t word_len(const char *p)
{
	size_t len = 0;

	while (is_word_character[(unsigned char)p[len]])
		len++;
	return len;
}

static bool is_escape(char c, char quote)
{
	return c && strchr(quote == '"' ? "\\\"nrt$" : "\\'", c);
}

static int read_string(struct scanner *s, struct slice *ret_text)
{
	char quote = *s->p;
	const char *p = s->p + 1;

	for (; *p != quote; p++) {
		if (!*p || *p == '\n')
			return fail(s, "a string is not closed: expected %c on its line", quote);
		if (quote == '"' && p[0] == '$' && p[1] == '{')
			return fail(s,
				    "nothing is put in place of \"${\": expected \"\\${\" if the "
				    "characters themselves are meant");
		if (*p != '\\')
			continue;
		p++;
		if (!is_escape(*p, quote))
			return fail(s, "unknown escape after \"\\\": expected one of %s",
				    quote == '"' ? "\\\\ \\\" \\n \\r \\t \\$" : "\\\\ \\'");
	}
	*ret_text = (struct slice){s->p + 1, (size_t)(p - s->p - 1)};
	s->p += ret_text->len + 2;
	return 0;
}

/* Length of the UTF-8 character at @p; the text has been checked. */
static size_t character_len(const char *p)
{
	size_t n = 1;

	while (((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static int read_token(struct scanner *s, struct token *token)
{
	static const char marks[] = "={},";
	static const enum token_kind kinds[] = {TOKEN_EQUALS, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA};
	const char *mark;
	struct config_shown shown;
	int r = skip_blanks(s);

	if (r < 0)
		return r;
	token->text = (struct slice){s->p, 0};
	if (s->p == s->end) {
		token->kind = TOKEN_END;
		return 0;
	}
	if (*s->p == '"' || *s->p == '\'') {
		token->kind = TOKEN_STRING;
		r = read_string(s, &token->text);
	} else if ((mark = strchr(marks, *s->p))) {
		token->kind = kinds[mark - marks];
		token->text.len = 1;
		s->p++;
	} else {
		token->kind = TOKEN_WORD;
		token->text.len = word_len(s->p);
		s->p += token->text.len;
		if (token->text.len == 0)
			return fail(s,
				    "unexpected %s: a value with other characters than letters, "
				    "digits and _.:/@%%~-[] must stand in quotes",
				    config_show((struct slice){s->p, character_len(s->p)}, &shown));
	}
	if (token->text.len > CONFIG_STRING_MAX)
		return fail(s, "%zu bytes: expected a value of at most %u", token->text.len,
			    CONFIG_STRING_MAX);
	return r;
}

/* ---- statements ---------------------------------------------------------------------------- */

/* Room for one more in @array of @n. Return: the array, perhaps moved, or NULL and it as it was. */
static void *reserve(void *array, size_t *cap, size_t n, size_t size)
{
	size_t new_cap = *cap ? 2 * *cap : 64;

	if (n < *cap)
		return array;
	array = reallocarray(array, new_cap, size);
	if (array)
		*cap = new_cap;
	return array;
}

static int begin_statement(struct scanner *s, bool is_section)
{
	struct config_text *t = s->t;
	struct config_statement *statements;

	if (t->n_statements >= CONFIG_STATEMENTS_MAX)
		return fail(s, "expected at most %u keys and sections", CONFIG_STATEMENTS_MAX);
	statements =
	    reserve(t->statements, &s->statements_cap, t->n_statements, sizeof(*statements));
	if (!statements)
		return -ENOMEM;
	t->statements = statements;
	t->statements[t->n_statements++] = (struct config_statement){
	    .name = s->name,
	    .title = s->title,
	    .line = s->name_line,
	    .parent = s->open[s->depth],
	    .first_value = t->n_values,
	    .is_section = is_section,
	};
	return 0;
}

static int take_name(struct scanner *s, const struct token *token)
{
	struct config_shown shown;

	/* None is that long; an error names each section around it. */
	if (token->text.len > CONFIG_NAME_MAX)
		return fail(s, "%s: expected the name of a key or a section",
			    config_show(token->text, &shown));
	s->name = token->text;
	s->name_line = s->line;
	s->title = (struct slice){0};
	return 0;
}

/* [A-Za-z0-9_.-]{1,63}: fit for logs, metrics and command lines without quoting. */
static int check_title(const struct scanner *s)
{
	struct config_shown shown;
	size_t len = 0;

	if (!s->title.ptr)
		return 0;
	while (len < s->title.len && is_word_character[(unsigned char)s->title.ptr[len]] &&
	       !strchr(":/@%~[]", s->title.ptr[len]))
		len++;
	if (len == s->title.len && len >= 1 && len <= CONFIG_NAME_MAX)
		return 0;
	return fail(s, "%.*s %s: expected a name of 1 to %d letters, digits, \"_\", \".\" or \"-\"",
		    SLICE_ARG(s->name), config_show(s->title, &shown), CONFIG_NAME_MAX);
}

static int begin_section(struct scanner *s)
{
	int r;

	if (s->depth == CONFIG_DEPTH_MAX)
		return fail(s, "expected at most %u sections in each other", CONFIG_DEPTH_MAX);
	if (s->n_sections++ == CONFIG_SECTIONS_MAX)
		return fail(s, "expected at most %u sections", CONFIG_SECTIONS_MAX);
	if ((r = check_title(s)) < 0 || (r = begin_statement(s, true)) < 0)
		return r;
	s->open[++s->depth] = s->t->n_statements - 1;
	return 0;
}

static int end_section(struct scanner *s)
{
	if (s->depth == 0)
		return fail(s, "\"}\" closes nothing: expected a section");
	s->depth--;
	return 0;
}

static int add_value(struct scanner *s)
{
	struct config_text *t = s->t;
	struct config_statement *key = &t->statements[t->n_statements - 1];
	uint32_t *lines;

	if (key->n_values == CONFIG_LIST_MAX)
		return fail(s, "%.*s: expected at most %u values", SLICE_ARG(key->name),
			    CONFIG_LIST_MAX);
	lines = reserve(t->value_lines, &s->values_cap, t->n_values, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	t->value_lines = lines;
	t->value_lines[t->n_values++] = s->line;
	key->n_values++;
	return 0;
}

static int finish(struct scanner *s)
{
	if (s->depth == 0)
		return 0;
	s->line = s->t->statements[s->open[s->depth]].line;
	return fail(s, "expected a \"}\" for the \"{\" of this section before the end of the file");
}

static int refuse(struct scanner *s, const struct token *token)
{
	struct config_shown shown;

	/* The mistake is where the statement began, whatever follows it. */
	if (s->state == NAMED || s->state == TITLED) {
		s->line = s->name_line;
		return fail(s, "%s: expected %s", config_show(s->name, &shown), expected[s->state]);
	}
	return fail(s, "expected %s, found %s", expected[s->state],
		    token->kind == TOKEN_END ? "the end of the file"
					     : config_show(token->text, &shown));
}

static int act(struct scanner *s, enum action action, const struct token *token)
{
	switch (action) {
	case REFUSE:
		return refuse(s, token);
	case TAKE_NAME:
		return take_name(s, token);
	case TAKE_TITLE:
		s->title = token->text;
		return 0;
	case BEGIN_KEY:
		return begin_statement(s, false);
	case BEGIN_SECTION:
		return begin_section(s);
	case END_SECTION:
		return end_section(s);
	case BEGIN_LIST:
		s->t->statements[s->t->n_statements - 1].is_list = true;
		return 0;
	case ADD_VALUE:
		return add_value(s);
	case GO_ON:
		return 0;
	case FINISH:
		return finish(s);
	}
	assert(!"an action without a case");
	return -EINVAL;
}

static int scan(struct scanner *s)
{
	struct token token;
	int r = begin_statement(s, true); /* the file, number 0 */

	if (r < 0 || (r = check_bytes(s)) < 0)
		return r;
	do {
		if ((r = read_token(s, &token)) < 0)
			return r;
		if ((r = act(s, grammar[s->state][token.kind].action, &token)) < 0)
			return r;
		s->state = grammar[s->state][token.kind].next;
	} while (token.kind != TOKEN_END);
	return 0;
}

/* ---- repetitions --------------------------------------------------------------------------- */

static int compare_slices(struct slice a, struct slice b)
{
	int order = memcmp(a.ptr ? a.ptr : "", b.ptr ? b.ptr : "", MIN(a.len, b.len));

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* What may stand only once comes together; 0 means that the two are the same thing. */
static int compare_identity(const struct config_statement *a, const struct config_statement *b)
{
	int order = (a->parent > b->parent) - (a->parent < b->parent);

	if (!order)
		order = compare_slices(a->name, b->name);
	return order ? order : compare_slices(a->title, b->title);
}

static int compare_for_sort(const void *a, const void *b)
{
	const struct config_statement *const *x = a, *const *y = b;
	int order = compare_identity(*x, *y);

	return order ? order : (*x > *y) - (*x < *y); /* else in the order of the file */
}

static int fail_repetition(const struct config_text *t, const struct config_statement *first,
			   const struct config_statement *second)
{
	struct config_shown title = {""};

	if (second->title.ptr)
		config_show(second->title, &title);
	return config_error_at(
	    t, second->line, second->parent,
	    "%.*s%s%s is given twice: expected it once (it is on line %u already)",
	    SLICE_ARG(second->name), second->title.ptr ? " " : "", title.text, first->line);
}

/* A key or section that repeats another one is an error; the first of them is reported. */
static int check_repetitions(const struct config_text *t)
{
	_cleanup_free_ const struct config_statement **sorted =
	    calloc(t->n_statements, sizeof(*sorted));
	const struct config_statement *first = NULL, *second = NULL;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_statements; i++)
		sorted[i] = &t->statements[i];
	/* Number 0 is a statement in itself: it stays out. */
	qsort(sorted + 1, t->n_statements - 1, sizeof(*sorted), compare_for_sort);
	for (uint32_t i = 2; i < t->n_statements; i++) {
		if (compare_identity(sorted[i - 1], sorted[i]) == 0 &&
		    (!second || sorted[i] < second)) {
			first = sorted[i - 1];
			second = sorted[i];
		}
	}
	return second ? fail_repetition(t, first, second) : 0;
}

/* ---- in and out ---------------------------------------------------------------------------- */

int config_text_parse(const char *file, const char *data, size_t len, struct config_error *error,
		      struct config_text *ret_text)
{
	_cleanup_(config_text_done) struct config_text t = {.file = file, .error = error};
	struct scanner s = {.t = &t, .line = 1};
	int r;

	if (len > CONFIG_TEXT_MAX) {
		config_error_file(error, file, "expected a file of at most %u bytes",
				  CONFIG_TEXT_MAX);
		return -EINVAL;
	}
	t.len = len;
	t.text = malloc(len + 1);
	if (t.text) {
		memcpy(t.text, data, len);
		t.text[len] = '\0';
		s.p = t.text;
		s.end = t.text + len;
		r = scan(&s);
		r = r < 0 ? r : check_repetitions(&t);
	} else {
		r = -ENOMEM;
	}
	if (r == -ENOMEM)
		config_error_file(error, file, "out of memory");
	if (r < 0)
		return r;
	*ret_text = t;
	t = (struct config_text){0};
	return 0;
}

void config_text_done(struct config_text *t)
{
	free(t->text);
	free(t->statements);
	free(t->value_lines);
	*t = (struct config_text){0};
}

uint32_t config_text_find(const struct config_text *t, uint32_t parent, const char *name)
{
	struct slice wanted = slice_from_str(name);

	/* What stands in a section follows it, up to the next statement of an outer one. */
	for (uint32_t i = parent + 1; i < t->n_statements && t->statements[i].parent >= parent;
	     i++) {
		const struct config_statement *s = &t->statements[i];

		if (s->parent == parent && !s->title.ptr && slice_equal(s->name, wanted))
			return i;
	}
	return 0;
}
