/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/top_screen.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

#define ESCAPE_MS 25 /* within which the rest of a function key's sequence comes */

static SCREEN *screen;

/* A newterm() that fails leaves memory behind. */
static bool is_known(void)
{
	int error;

	if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
		return false;
	(void)del_curterm(cur_term);
	return true;
}

int top_screen_open(void)
{
	if (!is_known())
		return -ENOTTY;
	/* initscr() would end the process. */
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	set_escdelay(ESCAPE_MS);
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	curs_set(0);
	return 0;
}

void top_screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

void top_screen_size(int *ret_width, int *ret_height)
{
	getmaxyx(stdscr, *ret_height, *ret_width);
}

static void draw_line(int y, const char *line, size_t len, int width, attr_t attributes)
{
	attron(attributes);
	mvaddnstr(y, 0, line, (int)len);
	/* To the end of the line: of reversed ones, it shows. */
	for (int x = getcurx(stdscr); attributes & A_REVERSE && x < width && getcury(stdscr) == y;
	     x++)
		addch(' ');
	attroff(attributes);
}

void top_screen_draw(const char *text, int n_bold, int title, const char *bottom)
{
	int width, height;

	top_screen_size(&width, &height);
	erase();
	for (int y = 0; *text && y < height - 1; y++) {
		size_t len = strcspn(text, "\n");

		draw_line(y, text, len, width,
			  y == title   ? A_REVERSE
			  : y < n_bold ? A_BOLD
				       : A_NORMAL);
		text += len + (text[len] == '\n');
	}
	draw_line(height - 1, bottom, strlen(bottom), width - 1, A_REVERSE);
	refresh();
}

struct top_key top_screen_key(void)
{
	int key = getch();

	if (key == KEY_RESIZE)
		return (struct top_key){.kind = TOP_KEY_RESIZED};
	if (key == ERR || key > 127)
		return (struct top_key){.kind = TOP_KEY_NONE};
	return (struct top_key){.kind = TOP_KEY_CHARACTER, .character = key};
}
