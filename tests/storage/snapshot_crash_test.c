/* Death between any two changes of a snapshot, a restore, a clone: then the pool is opened again,
 * nothing half-made is in it, and the same once more ends as if nothing had been. */
#include <unistd.h>

#include "base/file.h"
#include "crash.h"
#include "fixture.h"

#define ID   "0123456789ab"
#define ID2  "ba9876543210"
#define SIZE (100 * MIB)

/* --- The child ------------------------------------------------------------------------------- */

static int do_open(struct storage **storage)
{
	return storage_open(&g_f.config, storage, &g_err);
}

static int say(const struct storage *storage, const char *text)
{
	char path[256];

	if (volume_path(storage, ID, VOLUME_ROOTFS, path, sizeof(path)) < 0)
		return -1;
	strcat(path, "/said");
	return file_replace(path, text, 0644, false);
}

/* A guest that said "then", was snapshotted, and says "now". */
static int do_prepare(struct storage **storage)
{
	int r = do_open(storage);

	if (r == 0)
		r = volume_create(*storage, ID, IMAGE_TREE, "little", SIZE, NULL, &g_err);
	if (r == 0)
		r = say(*storage, "then");
	if (r == 0)
		r = snapshot_create(*storage, ID, "one", &g_err);
	return r < 0 ? r : say(*storage, "now");
}

static int do_snapshot(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : snapshot_create(*storage, ID, "two", &g_err);
}

static int do_delete(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : snapshot_delete(*storage, ID, "one", &g_err);
}

static int do_restore(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : snapshot_restore(*storage, ID, "one", SIZE, &g_err);
}

static int do_undo(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : snapshot_restore_undo(*storage, ID, &g_err);
}

static int do_finish(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : snapshot_restore_finish(*storage, ID, &g_err);
}

static int do_clone(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : volume_clone(*storage, ID2, ID, "one", SIZE, &g_err);
}

static int do_destroy(struct storage **storage)
{
	int r = do_open(storage);

	return r < 0 ? r : volume_destroy(*storage, ID, &g_err);
}

static const struct crash_verb g_verbs[] = {
	{"prepare", do_prepare},
	{"snapshot", do_snapshot},
	{"delete", do_delete},
	{"restore", do_restore},
	{"undo", do_undo},
	{"finish", do_finish},
	{"clone", do_clone},
	{"destroy", do_destroy},
	{0},
};

/* --- The parent ------------------------------------------------------------------------------ */

/* What there is after each verb. */
static const struct end {
	const char *verb;
	const char *said;      /* by the guest; NULL: there is none */
	const char *snapshots; /* names, each with a blank behind */
	const char *clone;     /* what the clone says; NULL: there is none */
	size_t volumes;
} g_ends[] = {
	{"prepare", "now", "one ", NULL, 1},
	{"snapshot", "now", "one two ", NULL, 1},
	{"delete", "now", "", NULL, 1},
	{"restore", "then", "one ", NULL, 2},
	{"undo", "now", "one ", NULL, 1},
	{"finish", "then", "one ", NULL, 1},
	{"clone", "now", "one ", "then", 2},
	{"destroy", NULL, "", NULL, 0},
};

static const struct end *end_of(const char *verb)
{
	for (size_t i = 0; i < ARRAY_SIZE(g_ends); i++)
		if (strcmp(g_ends[i].verb, verb) == 0)
			return &g_ends[i];
	abort();
}

static bool says(const char *id, const char *text)
{
	AUTOFREE char *found = NULL;
	char path[256];

	assert_int_equal(volume_path(g_f.storage, id, VOLUME_ROOTFS, path, sizeof(path)), 0);
	strcat(path, "/said");
	if (file_read(path, 100, &found, NULL) < 0)
		return !text;
	return text && strcmp(found, text) == 0;
}

static bool has_snapshots(const char *wanted)
{
	char joined[256] = "", **names;

	assert_ok(snapshot_list(g_f.storage, ID, &names, &g_err));
	for (char **name = names; *name; name++) {
		strcat(strcat(joined, *name), " ");
		free(*name);
	}
	free(names);
	return strcmp(joined, wanted) == 0;
}

static bool is_at(const struct end *end)
{
	return says(ID, end->said) && has_snapshots(end->snapshots) && says(ID2, end->clone) &&
	       fixture_count(&g_f, "volumes") == end->volumes;
}

static bool nothing_is_left(struct fixture *f)
{
	assert_ok(storage_tend(f->storage, &g_err));
	return fixture_groups(f) == f->groups && fixture_count(f, "snapshots") == 0 &&
	       fixture_count(f, "volumes") == 0;
}

static void clear(void)
{
	assert_ok(volume_destroy(g_f.storage, ID2, &g_err));
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	if (!fixture_eventually(&g_f, nothing_is_left))
		fail_msg("%zu quota groups, not %zu", fixture_groups(&g_f), g_f.groups);
}

static void assert_size(const char *id)
{
	struct volume_usage usage;

	assert_ok(volume_usage(g_f.storage, id, false, &usage, &g_err));
	assert_int_equal(usage.size, SIZE);
}

struct crash {
	const char *before; /* the last verb that was done in full */
	const char *verb, *point;
	bool simple; /* a point that only simple quotas pass */
};

static void crash_and_repeat(const struct crash *crash)
{
	const struct end *before = end_of(crash->before), *after = end_of(crash->verb);

	crash_at(&g_f, crash->verb, crash->point);
	fixture_open(&g_f);
	/* A destruction only goes on. */
	if (after->said && !is_at(before) && !is_at(after))
		fail_msg("%s at %s left something between", crash->verb, crash->point);
	fixture_close(&g_f);
	crash_run(&g_f, crash->verb);
	fixture_open(&g_f);
	if (!is_at(after))
		fail_msg("%s after %s does not end as it should", crash->verb, crash->point);
	assert_ok(storage_tend(g_f.storage, &g_err));
	if (after->said)
		assert_size(ID);
	if (after->clone)
		assert_size(ID2);
	clear();
	fixture_close(&g_f);
}

static void each_fault_point_is_recovered_from(void **state)
{
	static const struct crash crashes[] = {
		{"prepare", "snapshot", "storage.snapshot.begun", false},
		{"prepare", "snapshot", "storage.account.opened", true},
		{"prepare", "snapshot", "storage.snapshot.made", false},
		{"prepare", "delete", "storage.deleted", false},
		{"prepare", "restore", "storage.restore.copied", false},
		{"prepare", "restore", "storage.restore.limited", false},
		{"prepare", "restore", "storage.restore.exchanged", false},
		{"restore", "undo", "storage.account.opened", true},
		{"restore", "undo", "storage.restore.returned", false},
		{"restore", "undo", "storage.deleted", false},
		{"restore", "finish", "storage.deleted", false},
		{"prepare", "clone", "storage.account.opened", true},
		{"prepare", "clone", "storage.clone.copied", false},
		{"prepare", "clone", "storage.clone.limited", false},
		{"restore", "destroy", "storage.deleted=kill@1", false},
		{"restore", "destroy", "storage.deleted=kill@2", false},
		{"restore", "destroy", "storage.deleted=kill@3", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		const struct crash *crash = &crashes[i];

		if (crash->simple && g_f.backend != &g_backends[0])
			continue;
		crash_run(&g_f, "prepare");
		if (strcmp(crash->before, "prepare") != 0)
			crash_run(&g_f, crash->before);
		crash_and_repeat(crash);
	}
}

/* The first snapshot makes the account, too. */
static void first_snapshot_is_recovered_from(void **state)
{
	static const char *const points[] = {
		"storage.snapshot.begun", "storage.account.opened", "storage.snapshot.made"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		if (i == 1 && g_f.backend != &g_backends[0])
			continue;
		crash_at(&g_f, "prepare", points[i]);
		fixture_open(&g_f);
		assert_true(has_snapshots(i == 2 ? "one " : ""));
		assert_ok(storage_tend(g_f.storage, &g_err));
		assert_size(ID);
		assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
		assert_true(has_snapshots("one "));
		assert_size(ID);
		clear();
		fixture_close(&g_f);
	}
}

static int begin(void **state)
{
	fixture_prepare(&g_f, *state);
	crash_configure(&g_f);
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	fixture_note_groups(&g_f);
	fixture_close(&g_f);
	return 0;
}

#define T(name) FIXTURE_TEST(name, begin)

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(each_fault_point_is_recovered_from),
		T(first_snapshot_is_recovered_from),
	};

	if (argc == 5)
		return crash_main(&g_f, g_verbs, argv);
	return fixture_run_each(tests, ARRAY_SIZE(tests), NULL);
}
