/* What libvirt alone takes, on one connection, without a program for each call: reads a line for
 * each call, "VERB DOMAIN" (define: a file with XML instead), and answers with the microseconds
 * that it took, or with "error" and why.
 *
 *     bench-libvirt URI */
#include <inttypes.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define XML_MAX	  (1 << 20)
#define LINE_SIZE 512

typedef int (*verb_fn)(virConnectPtr conn, const char *what);

static int on_domain(virConnectPtr conn, const char *name, int (*act)(virDomainPtr domain))
{
	virDomainPtr domain = virDomainLookupByName(conn, name);
	int r = domain ? act(domain) : -1;

	if (domain)
		virDomainFree(domain);
	return r;
}

static int define(virConnectPtr conn, const char *path)
{
	AUTOFREE char *xml = NULL;
	virDomainPtr domain;

	if (file_read(path, XML_MAX, &xml, NULL) < 0)
		return -1;
	domain = virDomainDefineXML(conn, xml);
	if (!domain)
		return -1;
	virDomainFree(domain);
	return 0;
}

static int start(virConnectPtr conn, const char *name)
{
	return on_domain(conn, name, virDomainCreate);
}

static int destroy(virConnectPtr conn, const char *name)
{
	return on_domain(conn, name, virDomainDestroy);
}

static int undefine(virConnectPtr conn, const char *name)
{
	return on_domain(conn, name, virDomainUndefine);
}

static int rest(virDomainPtr domain)
{
	if (virDomainFSFreeze(domain, NULL, 0, 0) < 0 || virDomainSuspend(domain) < 0)
		return -1;
	return virDomainResume(domain) < 0 || virDomainFSThaw(domain, NULL, 0, 0) < 0 ? -1 : 0;
}

/* What a snapshot asks of it: to be at rest, and to go on. */
static int hold(virConnectPtr conn, const char *name)
{
	return on_domain(conn, name, rest);
}

static int nothing(virConnectPtr conn, const char *what)
{
	(void)what;
	return virConnectIsAlive(conn) == 1 ? 0 : -1;
}

static const struct {
	const char *name;
	verb_fn act;
} VERBS[] = {
	{"define", define},
	{"start", start},
	{"destroy", destroy},
	{"undefine", undefine},
	{"hold", hold},
	{"nothing", nothing},
};

static void silence(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static void answer(virConnectPtr conn, const char *verb, const char *what)
{
	for (size_t i = 0; i < ARRAY_SIZE(VERBS); i++) {
		int64_t began = clock_monotonic_ns();

		if (strcmp(verb, VERBS[i].name) != 0)
			continue;
		if (VERBS[i].act(conn, what) < 0)
			printf("error %s\n", virGetLastErrorMessage());
		else
			printf("%" PRId64 "\n", (clock_monotonic_ns() - began) / 1000);
		return;
	}
	printf("error no such verb\n");
}

int main(int argc, char **argv)
{
	virConnectPtr conn = argc == 2 ? virConnectOpen(argv[1]) : NULL;
	char line[LINE_SIZE], verb[32], what[LINE_SIZE];

	if (!conn)
		return 1;
	virSetErrorFunc(NULL, silence);
	setlinebuf(stdout);
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%31s %511s", verb, what) == 2)
			answer(conn, verb, what);
	virConnectClose(conn);
	return 0;
}
