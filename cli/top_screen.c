/* The terminal (ECMA-48 and xterm's control sequences, termios(3)). */
#include "cli/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios g_before;
static volatile sig_atomic_t g_open, g_has_keys;

bool screen_is_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* Safe in a handler of signals. */
static void write_all(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
}

static void enter(void)
{
	struct termios raw = g_before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (g_has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	write_all(ENTER, strlen(ENTER));
	g_open = 1;
}

static void leave(void)
{
	if (!g_open)
		return;
	g_open = 0;
	write_all(LEAVE, strlen(LEAVE));
	if (g_has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &g_before);
}

/* Gives the terminal back, then lets the signal do what it does. */
static void on_end(int number)
{
	leave();
	raise(number); /* its handler was reset */
}

static void on_stop(int number)
{
	int saved = errno;

	(void)number;
	leave();
	raise(SIGSTOP);
	enter();
	errno = saved;
}

static void on_resize(int number)
{
	(void)number; /* it has ended poll() */
}

static void watch_signals(void)
{
	static const int ending[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
	struct sigaction end = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
	struct sigaction stop = {.sa_handler = on_stop};
	struct sigaction resize = {.sa_handler = on_resize};

	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaction(ending[i], &end, NULL);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
}

int screen_open(struct err *err)
{
	g_has_keys = isatty(STDIN_FILENO);
	if (g_has_keys && tcgetattr(STDIN_FILENO, &g_before) < 0)
		return err_errno(err, errno, "cannot read the terminal's settings");
	watch_signals();
	atexit(leave);
	enter();
	return 0;
}

void screen_close(void)
{
	leave();
}

void screen_size(size_t *ret_width, size_t *ret_height)
{
	struct winsize size = {0};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_width = size.ws_col ? size.ws_col : 80;
	*ret_height = size.ws_row ? size.ws_row : 24;
}

void screen_write(const char *text, size_t size)
{
	write_all(text, size);
}

/* What was typed and not taken yet. */
static char g_typed[64];
static size_t g_typed_count;

static void drop(size_t count)
{
	g_typed_count -= count;
	memmove(g_typed, g_typed + count, g_typed_count);
}

/* A sequence that is none of ours ends with a letter or ~ (ECMA-48, 5.4). */
static size_t unknown_sequence(void)
{
	size_t i = 1;

	while (i < g_typed_count && !(g_typed[i] >= '@' && g_typed[i] != '[' && g_typed[i] != 'O'))
		i++;
	return i < g_typed_count ? i + 1 : g_typed_count;
}

/* The first key of what was typed. */
static int take_typed(void)
{
	static const struct {
		const char *text;
		int key;
	} KEYS[] = {{"\033[A", SCREEN_UP}, {"\033OA", SCREEN_UP}, {"\033[B", SCREEN_DOWN},
		{"\033OB", SCREEN_DOWN}, {"\033[5~", SCREEN_PAGE_UP},
		{"\033[6~", SCREEN_PAGE_DOWN}};
	int key = SCREEN_NOTHING;

	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
		size_t length = strlen(KEYS[i].text);

		if (g_typed_count >= length && memcmp(g_typed, KEYS[i].text, length) == 0) {
			drop(length);
			return KEYS[i].key;
		}
	}
	if (g_typed[0] != '\033')
		key = (unsigned char)g_typed[0];
	drop(g_typed[0] == '\033' ? unknown_sequence() : 1);
	return key;
}

int screen_key(int64_t timeout_ms)
{
	struct pollfd keys = {.fd = g_has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	ssize_t size;

	if (g_typed_count > 0)
		return take_typed();
	if (poll(&keys, 1, timeout_ms > 0 ? (int)timeout_ms : 0) <= 0)
		return SCREEN_NOTHING;
	size = read(STDIN_FILENO, g_typed, sizeof(g_typed));
	if (size <= 0)
		return size < 0 && errno == EINTR ? SCREEN_NOTHING : SCREEN_END;
	g_typed_count = (size_t)size;
	return take_typed();
}
