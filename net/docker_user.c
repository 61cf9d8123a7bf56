/* The rules in DOCKER-USER, as lines of iptables-save: what is there is compared as text, and what
 * has to change is one transaction of iptables-restore. */
#include "net/docker_user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "net/net.h"
#include "net/nfnetlink.h"

#define PROGRAM_MS 10000
#define LOCK_S	   "5" /* how long the legacy programs wait for each other */
#define WATCH_S	   1
#define TEXT_MAX   (16 << 20)
#define TRIES	   3 /* of a change that others' changes may overtake */

/* By this comment a rule is known as ours, together with its bridge. */
#define MARK " -m comment --comment corpus -j ACCEPT"

/* What stands behind it is never reached. */
#define RETURN_ALL "-A " DOCKER_USER_CHAIN " -j RETURN"

enum { RULES = 2 };

struct docker_user {
	char rules[RULES][96]; /* without "-A DOCKER-USER " */
	struct nfnl nfnl;
	int legacy; /* a socket to ask for legacy rules by */
	int timer;
	atomic_uint_fast64_t seen; /* legacy_shape() when the rules were last made so */
};

struct docker_user *docker_user_close(struct docker_user *docker)
{
	if (!docker)
		return NULL;
	fd_close(docker->timer);
	fd_close(docker->legacy);
	nfnl_close(&docker->nfnl);
	free(docker);
	return NULL;
}

static int open_parts(struct docker_user *docker, struct err *err)
{
	docker->legacy = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	docker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (docker->legacy < 0 || docker->timer < 0)
		return err_errno(err, errno, "cannot watch the rules of iptables");
	return nfnl_open(&docker->nfnl, err);
}

int docker_user_open(const char *bridge, struct docker_user **ret, struct err *err)
{
	static const char *const ways[RULES] = {"-i", "-o"};
	struct docker_user *docker = calloc(1, sizeof(*docker));
	int r;

	if (!docker)
		return err_errno(err, ENOMEM, "cannot open the firewall");
	for (int i = 0; i < RULES; i++)
		snprintf(docker->rules[i], sizeof(docker->rules[i]), "%s %.*s" MARK, ways[i],
			NET_LINK_NAME_MAX, bridge);
	r = open_parts(docker, err);
	if (r < 0) {
		docker_user_close(docker);
		return r;
	}
	*ret = docker;
	return 0;
}

/* --- Whether there may be such a chain ------------------------------------------------------- */

static int take_nothing(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return MNL_CB_OK;
}

static bool is_in_nft(struct docker_user *docker)
{
	char buf[256] = {0};
	struct nlmsghdr *nlh = nfnl_message(&docker->nfnl, buf,
		(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, NLM_F_ACK, NFPROTO_IPV4);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, DOCKER_USER_TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, DOCKER_USER_CHAIN);
	return nfnl_request(&docker->nfnl, nlh, take_nothing, NULL) == 0;
}

/* To ask the kernel for a table, by whatever means, makes it: first look whether it is there. */
static bool has_legacy_table(struct docker_user *docker)
{
	AUTOFREE char *names = NULL;

	(void)docker;
	return file_read("/proc/net/ip_tables_names", TEXT_MAX, &names, NULL) == 0 &&
	       strstr(names, DOCKER_USER_TABLE "\n");
}

/* A number that changes with the legacy rules; 0: there are none. Rules that were replaced by as
 * many of the same size it does not show. */
static uint64_t legacy_shape(struct docker_user *docker)
{
	struct ipt_getinfo info = {.name = DOCKER_USER_TABLE};
	socklen_t size = sizeof(info);
	uint64_t shape;

	if (!has_legacy_table(docker) ||
		getsockopt(docker->legacy, IPPROTO_IP, IPT_SO_GET_INFO, &info, &size) < 0)
		return 0;
	shape = (uint64_t)info.num_entries << 32 | info.size;
	for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++)
		shape = shape * 31 + info.hook_entry[hook] + info.underflow[hook];
	return shape;
}

/* --- Looking and changing -------------------------------------------------------------------- */

static const struct kind {
	const char *show, *restore;
	bool (*may_be)(struct docker_user *docker);
} KINDS[] = {
	{"iptables-nft", "iptables-nft-restore", is_in_nft},
	{"iptables-legacy", "iptables-legacy-restore", has_legacy_table},
};

/* What a chain has of one rule: where it counts, and where a RETURN before it takes its effect. */
struct count {
	unsigned good, vain;
};

static void count_rules(
	const struct docker_user *docker, char *text, struct count ret[static RULES])
{
	bool returned = false;

	for (char *line; (line = strsep(&text, "\n"));) {
		returned |= strcmp(line, RETURN_ALL) == 0;
		if (strncmp(line, "-A " DOCKER_USER_CHAIN " ", 15) != 0)
			continue;
		for (int i = 0; i < RULES; i++)
			if (strcmp(line + 15, docker->rules[i]) == 0)
				*(returned ? &ret[i].vain : &ret[i].good) += 1;
	}
}

/* Removes what is in vain or too much, and adds at the head what is missing. */
static int plan(const struct docker_user *docker, const struct count counts[static RULES],
	bool pass, struct strbuf *ret)
{
	int changes = 0;

	strbuf_add(ret, "*" DOCKER_USER_TABLE "\n");
	for (int i = 0; i < RULES; i++) {
		bool keep = pass && counts[i].good == 1 && counts[i].vain == 0;
		unsigned remove = keep ? 0 : counts[i].good + counts[i].vain;

		changes += (int)remove + (pass && !keep);
		for (; remove > 0; remove--)
			strbuf_addf(ret, "-D " DOCKER_USER_CHAIN " %s\n", docker->rules[i]);
		if (pass && !keep)
			strbuf_addf(ret, "-I " DOCKER_USER_CHAIN " %s\n", docker->rules[i]);
	}
	strbuf_add(ret, "COMMIT\n");
	return changes;
}

static int carry_out(const struct kind *kind, struct strbuf *lines, struct err *err)
{
	const char *const argv[] = {kind->restore, "-w", LOCK_S, "--noflush", NULL};
	AUTOFREE char *text = strbuf_take(lines);
	AUTOCLOSE int fd = memfd_create("rules", MFD_CLOEXEC);
	const struct process_options options = {
		.argv = argv, .stdin_fd = fd, .stdout_fd = -1, .timeout_ms = PROGRAM_MS};

	if (!text)
		return err_errno(err, ENOMEM, "cannot write rules");
	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot write rules for %s", kind->restore);
	return process_run(&options, err);
}

/* The chain's lines; NULL, with success, when there is no such chain. */
static int show(const struct kind *kind, char **ret, struct err *err)
{
	const char *const argv[] = {kind->show, "-w", LOCK_S, "-S", DOCKER_USER_CHAIN, NULL};
	int r = process_read(argv, PROGRAM_MS, TEXT_MAX, ret, err);

	/* These programs have one exit status for all that can go wrong, and one language. */
	return r < 0 && strstr(err->message, "No chain/target/match by that name") ? 0 : r;
}

/* *ret_again: somebody may have changed the chain between look and change. */
static int try_kind(const struct docker_user *docker, const struct kind *kind, bool pass,
	bool *ret_again, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf lines = {0};
	struct count counts[RULES] = {0};
	AUTOFREE char *text = NULL;
	int r = show(kind, &text, err), changes;

	if (r < 0 || !text)
		return r;
	count_rules(docker, text, counts);
	changes = plan(docker, counts, pass, &lines);
	r = changes > 0 ? carry_out(kind, &lines, err) : 0;
	*ret_again = r < 0;
	return r < 0 ? r : changes;
}

/* How much had to be changed. */
static int apply_kind(
	struct docker_user *docker, const struct kind *kind, bool pass, struct err *err)
{
	bool again = true;
	int r = 0;

	for (int i = 0; i < TRIES && again; i++) {
		again = false;
		if (!kind->may_be(docker))
			return 0;
		if (process_is_installed(kind->show))
			r = try_kind(docker, kind, pass, &again, err);
		else if (pass)
			r = err_set(err, ERR_UNSUPPORTED, NULL,
				"%s is missing: install the package iptables", kind->show);
	}
	if (r < 0)
		err_prefix(err, "Docker's firewall, chain " DOCKER_USER_CHAIN);
	else if (r > 0)
		log_info("net.docker_user", "by=%s pass=%s changes=%d", kind->show,
			pass ? "yes" : "no", r);
	return r;
}

/* --------------------------------------------------------------------------------------------- */

static void set_timer(const struct docker_user *docker, bool on)
{
	const struct itimerspec each = {
		.it_value.tv_sec = on ? WATCH_S : 0, .it_interval.tv_sec = on ? WATCH_S : 0};

	timerfd_settime(docker->timer, 0, &each, NULL);
}

int docker_user_apply(struct docker_user *docker, bool pass, unsigned *changes, struct err *err)
{
	struct err first = {0};
	int first_r = 0;

	set_timer(docker, pass);
	/* Before the look: what changes from now on is seen. */
	atomic_store(&docker->seen, legacy_shape(docker));
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		struct err failed = {0};
		int r = apply_kind(docker, &KINDS[i], pass, &failed);

		if (r > 0)
			*changes += (unsigned)r;
		if (r >= 0 || first_r < 0)
			continue;
		first_r = r;
		first = failed;
	}
	(void)fault_point("net.docker_user");
	if (first_r < 0 && err)
		*err = first;
	return first_r;
}

int docker_user_watch_fd(const struct docker_user *docker)
{
	return docker->timer;
}

bool docker_user_watch_dispatch(struct docker_user *docker)
{
	uint64_t elapsed;

	if (read(docker->timer, &elapsed, sizeof(elapsed)) != sizeof(elapsed))
		return false;
	return legacy_shape(docker) != atomic_load(&docker->seen);
}
