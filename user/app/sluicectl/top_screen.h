/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal that `sluicectl top` runs in, by curses: only what has changed is written to it. */
#pragma once
#include "base/std.h"

enum top_key_kind {
	TOP_KEY_NONE,
	TOP_KEY_RESIZED,
	TOP_KEY_CHARACTER,
};

struct top_key {
	enum top_key_kind kind;
	int character; /* ASCII */
};

/** top_screen_open() - take the terminal over. Return: 0, or -ENOTTY: TERM names none that curses
 *  knows */
int top_screen_open(void);
/** top_screen_close() - give it back as it was; harmless if it is not open */
void top_screen_close(void);
/** top_screen_size() - in places and lines */
void top_screen_size(int *ret_width, int *ret_height);
/**
 * top_screen_draw() - lines of text, one below the other, and one at the bottom
 * @n_bold: of them at the top
 * @title: index of one that stands out as the title of a table
 */
void top_screen_draw(const char *text, int n_bold, int title, const char *bottom);
/** top_screen_key() - what has been typed, without waiting */
struct top_key top_screen_key(void);
