/* The table of commands: what is parsed, helped with and completed follows from it. */
#include "cli/commands.h"

#include <stdint.h>

#include "cli/list.h"

#define ANY SIZE_MAX

static const struct option NODE_OPTIONS[] = {
	{"mode", 'm', "MODE", "active, drain (no new guests) or maintenance (no changes)",
		COMPLETE_MODE},
	{"stop", 0, NULL, "with maintenance: bring the guests to rest, until it ends"},
	{0},
};

static const struct option LIST_OPTIONS[] = {
	{"state", 0, "STATE[,...]", "only in these states", COMPLETE_STATE},
	{"driver", 'd', "DRIVER", "only of this driver", COMPLETE_DRIVER},
	{"env", 'e', "ENVIRONMENT", "only of this environment", COMPLETE_ENVIRONMENT},
	{"environment", 0, "ENVIRONMENT", "the same", COMPLETE_ENVIRONMENT},
	{"image", 'i', "IMAGE", "only made of this image", COMPLETE_IMAGE},
	{"name", 0, "PATTERN", "only whose names match this shell pattern", COMPLETE_GUEST},
	{"label", 'l', "KEY[=VALUE]", "only with this label", COMPLETE_NOTHING, .many = true},
	{"fields", 'f', "FIELD[,...]", "with --json: only these fields"},
	{"limit", 0, "N", "at most so many"},
	{"after", 0, "NAME", "begin after the guest of this name", COMPLETE_GUEST},
	LIST_OPTIONS_SHARED,
	{0},
};

static const struct option SHOWN_OPTIONS[] = {
	LIST_OPTIONS_SHARED,
	{0},
};

static const struct option CREATE_OPTIONS[] = {
	{"image", 'i', "IMAGE", "what it starts from (needed)", COMPLETE_IMAGE},
	{"driver", 'd', "DRIVER", "lxc, unless told otherwise", COMPLETE_DRIVER},
	{"slots", 0, "N", "slots of the node that it takes: 1"},
	{"cpus", 'c', "N", "at most so many CPUs, as in 1.5"},
	{"memory", 'm', "SIZE", "at most so much memory, as in 512MiB"},
	{"swap", 0, "SIZE", "at most so much swap beyond memory"},
	{"pids", 0, "N", "at most so many processes and threads"},
	{"io-weight", 0, "N", "share of disk time, 1 to 10000; 100 is usual"},
	{"io-read", 0, "SIZE", "bytes a second from the disk"},
	{"io-write", 0, "SIZE", "bytes a second to it"},
	{"net-ingress", 0, "SIZE", "bytes a second towards it"},
	{"net-egress", 0, "SIZE", "bytes a second from it"},
	{"size", 0, "SIZE", "of its storage: 5GiB"},
	{"port", 'p', "PORT", "publish [tcp:|udp:][HOST:]GUEST[:PURPOSE]; may be repeated",
		COMPLETE_NOTHING, .many = true},
	{"label", 'l', "KEY=VALUE", "note this about it; may be repeated", COMPLETE_NOTHING,
		.many = true},
	{"env", 'e', "ENVIRONMENT", "dev, staging, preprod or prod", COMPLETE_ENVIRONMENT},
	{"ssh-key", 0, "KEY|FILE", "may log in as root; may be repeated", COMPLETE_FILE,
		.many = true},
	{"user-data", 0, "FILE", "for cloud-init, or a script that is run once", COMPLETE_FILE},
	{"raw", 0, "LINE", "of configuration for the driver; may be repeated", COMPLETE_NOTHING,
		.many = true},
	{"address", 0, "IP", "of the guests' network; else the first free one"},
	{"mac", 0, "MAC", "of its network card; else one of 00:16:3e"},
	{"entrypoint", 0, "WORDS", "a container's program, instead of its image's"},
	{"var", 0, "NAME=VALUE", "of its environment; may be repeated", COMPLETE_NOTHING,
		.many = true},
	{"user", 'u', "USER", "who runs it: a name, a uid or uid:gid"},
	{"workdir", 'w', "DIRECTORY", "where it begins"},
	{"stop-signal", 0, "SIGNAL", "asks it to end, as in TERM"},
	{"no-terminal", 0, NULL, "its console is none"},
	{"data", 0, "DIRECTORY", "of it that lies on its storage; may be repeated",
		COMPLETE_NOTHING, .many = true},
	{"no-start", 0, NULL, "leave it stopped"},
	{"privileged", 0, NULL, "root inside is root outside"},
	{"autostart", 0, NULL, "start with the node when it was running (so by default)"},
	{"no-autostart", 0, NULL, "never start with the node"},
	{"autostart-order", 0, "N", "guests of lower numbers start before it: 0"},
	{"autostart-delay", 0, "TIME", "before guests of the next number start, as in 10s"},
	{"restart", 0, "POLICY", "when it ends by itself: never, on-failure or always"},
	{"restart-max", 0, "N", "restarts in a row until it is left alone: 10"},
	{"health", 0, "CHECK", "http:PORT[/PATH], tcp:PORT or exec:COMMAND"},
	{"health-interval", 0, "TIME", "between two checks: 30s"},
	{"health-timeout", 0, "TIME", "of one check: 5s"},
	{"health-retries", 0, "N", "failures in a row until it is unhealthy: 3"},
	{"health-grace", 0, "TIME",
		"after a start, in which failures do not count: 30s, of a machine 5m"},
	{"health-restart", 0, NULL, "restart it when it is unhealthy, as its policy allows"},
	{0},
};

static const struct option CLONE_OPTIONS[] = {
	{"snapshot", 0, "SNAPSHOT", "copy this one; else what is on its storage now",
		COMPLETE_SNAPSHOT},
	{"slots", 0, "N", "slots of the node that it takes"},
	{"cpus", 'c', "N", "at most so many CPUs, as in 1.5"},
	{"memory", 'm', "SIZE", "at most so much memory, as in 512MiB"},
	{"size", 0, "SIZE", "of its storage"},
	{"port", 'p', "PORT", "publish these, not those of the other; may be repeated",
		COMPLETE_NOTHING, .many = true},
	{"label", 'l', "KEY=VALUE", "note this about it; may be repeated", COMPLETE_NOTHING,
		.many = true},
	{"env", 'e', "ENVIRONMENT", "dev, staging, preprod or prod", COMPLETE_ENVIRONMENT},
	{"address", 0, "IP", "of the guests' network; else the first free one"},
	{"mac", 0, "MAC", "of its network card; else one of 00:16:3e"},
	{"no-start", 0, NULL, "leave it stopped"},
	{"autostart", 0, NULL, "start with the node when it was running"},
	{"no-autostart", 0, NULL, "never start with the node"},
	{0},
};

static const struct option APPLY_OPTIONS[] = {
	{"file", 'f', "FILE", "a guest or an array of them, as JSON; - is standard input",
		COMPLETE_FILE},
	{0},
};

static const struct option EDIT_OPTIONS[] = {
	{"file", 'f', "FILE", "begin with this text, kept when it was refused", COMPLETE_FILE},
	{0},
};

static const struct option STOP_OPTIONS[] = {
	{"grace", 'g', "TIME", "how long it may take before it is killed, as in 30s"},
	{0},
};

static const struct option DESTROY_OPTIONS[] = {
	{"yes", 'y', NULL, "do not ask"},
	{0},
};

static const struct option RESIZE_OPTIONS[] = {
	{"to", 0, "SIZE", "the size to have afterwards, instead of a difference"},
	{0},
};

static const struct option TRIM_OPTIONS[] = {
	{"to", 0, "SIZE", "the size to have afterwards, instead of a difference"},
	{"restart", 0, NULL, "a guest with a disk may be stopped for it, and started again"},
	{"discard", 0, NULL, "only return what the guest does not use; its size stays"},
	{0},
};

static const struct option SNAPSHOT_OPTIONS[] = {
	{"memory", 0, NULL, "also what a running machine has in memory"},
	{0},
};

static const struct option RESTORE_OPTIONS[] = {
	{"no-memory", 0, NULL, "a machine boots, whatever memory the snapshot has"},
	{"start", 0, NULL, "it runs afterwards; else as it did before"},
	{"no-start", 0, NULL, "it stays stopped"},
	{0},
};

static const struct option PUBLISH_OPTIONS[] = {
	{"purpose", 0, "WORD", "what it is for: web, ..."},
	{0},
};

static const struct option SWITCH_OPTIONS[] = {
	{"to", 0, "NAME", "the guest that it shall lead to (needed)", COMPLETE_GUEST},
	{"port", 'p', "GUEST", "port inside that guest; else as before"},
	{"flush", 0, NULL, "also cut the connections to the guest before"},
	{0},
};

#define KIND_OPTION                                                                                \
	{                                                                                          \
		"kind", 0, "KIND", "tree, disk or oci: where there are several",                   \
			COMPLETE_IMAGE_KIND                                                        \
	}

static const struct option IMAGE_OPTIONS[] = {KIND_OPTION, {0}};

static const struct option IMPORT_OPTIONS[] = {
	{"kind", 0, "KIND", "tree (files), disk or oci (Docker's); else as the file shows",
		COMPLETE_IMAGE_KIND},
	{"driver", 'd', "DRIVER", "whose guests are to be made of it, instead of the kind",
		COMPLETE_DRIVER},
	{"format", 0, "FORMAT", "of a disk, qcow2 or raw; else as the file shows",
		COMPLETE_DISK_FORMAT},
	{"boot", 0, "FIRMWARE", "what starts the disk: bios (usual) or uefi", COMPLETE_BOOT},
	{"sha256", 0, "DIGEST", "what the file must hash to"},
	{"replace", 0, NULL, "replace an image of that name"},
	{0},
};

static const struct option PULL_OPTIONS[] = {
	{"driver", 'd', "DRIVER", "whose daemon is to have it, where there are several",
		COMPLETE_DRIVER},
	{0},
};

static const struct option BUILD_OPTIONS[] = {
	{"name", 0, "NAME", "of the image; else the kind"},
	{"driver", 0, "DRIVER", "whose guests are to be made of it; else lxc", COMPLETE_DRIVER},
	{"replace", 0, NULL, "replace an image of that name"},
	{0},
};

static const struct option OPERATIONS_OPTIONS[] = {
	{"target", 0, "NAME", "only of this guest or image", COMPLETE_GUEST},
	{"limit", 0, "N", "at most so many: 50"},
	{"before", 0, "ID", "only older than this one", COMPLETE_OPERATION},
	LIST_OPTIONS_SHARED,
	{0},
};

static const struct option OPERATION_OPTIONS[] = {
	{"wait", 'w', NULL, "wait for its end; the exit status is then its own"},
	{0},
};

static const struct option AUDIT_OPTIONS[] = {
	{"limit", 0, "N", "at most so many: 100"},
	{0},
};

static const struct option EVENTS_OPTIONS[] = {
	{"follow", 'f', NULL, "go on with what happens"},
	{"after", 0, "N",
		"begin after this number; else with the oldest kept, or with what happens "
		"now when following"},
	{"since", 0, "N", "the same"},
	{"type", 0, "PATTERN", "only of this type, as in guest.*; may be repeated",
		COMPLETE_NOTHING, .many = true},
	{"guest", 'g', "NAME", "only about this guest", COMPLETE_GUEST},
	{0},
};

static const struct option TOP_OPTIONS[] = {
	{"once", '1', NULL, "a plain table, once; so it is where there is no terminal"},
	{"interval", 0, "TIME", "how often it is shown anew: 2s"},
	{"sort", 0, "WHAT", "by cpu, memory, io, network, disk or name"},
	{0},
};

static const struct option EXEC_OPTIONS[] = {
	{"interactive", 'i', NULL, "it reads standard input"},
	{"terminal", 't', NULL, "give it a terminal, as large as this one"},
	{"user", 'u', "USER", "of the guest: a name, a uid or uid:gid; else root"},
	{"workdir", 'w', "DIRECTORY", "where it begins; else the user's home"},
	{"env", 'e', "NAME[=VALUE]", "a variable; without a value as it is here; may be repeated",
		COMPLETE_NOTHING, .many = true},
	{"kill-after", 0, "TIME", "kill it when it takes longer, as in 30s"},
	{"persist", 0, NULL, "it goes on when this terminal is gone"},
	{"detach", 'd', NULL, "start it, print its session and leave it alone"},
	{0},
};

static const struct option ATTACH_OPTIONS[] = {
	{"read-only", 'r', NULL, "look on, and type nothing"},
	{0},
};

static const struct option LOGS_OPTIONS[] = {
	{"follow", 'f', NULL, "go on with what it writes"},
	{"tail", 0, "N", "only the last so many lines"},
	{0},
};

static const struct option CP_OPTIONS[] = {
	{"recursive", 'r', NULL, "directories and all in them"},
	{"archive", 'a', NULL, "the same, with owners"},
	{0},
};

#define GUESTS                                                                                     \
	{                                                                                          \
		COMPLETE_GUEST, COMPLETE_GUEST                                                     \
	}
#define GUEST                                                                                      \
	{                                                                                          \
		COMPLETE_GUEST, COMPLETE_NOTHING                                                   \
	}
#define SNAPSHOT                                                                                   \
	{                                                                                          \
		COMPLETE_GUEST, COMPLETE_SNAPSHOT                                                  \
	}
#define IMAGE                                                                                      \
	{                                                                                          \
		COMPLETE_IMAGE, COMPLETE_NOTHING                                                   \
	}

const struct command COMMANDS[] = {
	{"node", "computenode_infos", "[MODE]", "show the node, or change its mode", cmd_node,
		NODE_OPTIONS, 0, 1, {COMPLETE_MODE}, .change = true},
	{"slots", NULL, "", "show the slots and who uses them", cmd_slots},
	{"doctor", NULL, "", "look what of the host suits guests, and what to do", cmd_doctor},
	{"list", "ls", "[PATTERN]", "list guests", cmd_list, LIST_OPTIONS, 0, 1, GUEST},
	{"show", NULL, "NAME", "show one guest", cmd_show, NULL, 1, 1, GUEST},
	{"create", "guest_create", "NAME --image IMAGE [-- COMMAND...]",
		"create a guest and start it", cmd_create, CREATE_OPTIONS, 1, ANY, .change = true},
	{"apply", NULL, "-f FILE", "make guests as a file describes them", cmd_apply, APPLY_OPTIONS,
		0, 0, .change = true},
	{"set", NULL, "NAME KEY=VALUE...", "change limits and settings of a guest", cmd_set, NULL,
		2, ANY, {COMPLETE_GUEST, COMPLETE_KEY}, .change = true},
	{"edit", NULL, "NAME [--file FILE]", "change a guest in an editor", cmd_edit, EDIT_OPTIONS,
		1, 1, GUEST, .change = true},
	{"start", NULL, "NAME...", "start guests", cmd_start, NULL, 1, ANY, GUESTS, .change = true},
	{"stop", NULL, "NAME...", "shut guests down", cmd_stop, STOP_OPTIONS, 1, ANY, GUESTS,
		.change = true},
	{"restart", NULL, "NAME...", "shut guests down and start them", cmd_restart, STOP_OPTIONS,
		1, ANY, GUESTS, .change = true},
	{"kill", NULL, "NAME...", "end guests at once", cmd_kill, NULL, 1, ANY, GUESTS,
		.change = true},
	{"freeze", NULL, "NAME...", "stop all processes of guests where they are", cmd_freeze, NULL,
		1, ANY, GUESTS, .change = true},
	{"thaw", NULL, "NAME...", "let frozen guests go on", cmd_thaw, NULL, 1, ANY, GUESTS,
		.change = true},
	{"rename", NULL, "NAME NEW", "give a guest another name", cmd_rename, NULL, 2, 2, GUEST,
		.change = true},
	{"clone", NULL, "NAME NEW", "make a guest that is a copy of another", cmd_clone,
		CLONE_OPTIONS, 2, 2, GUEST, .change = true},
	{"destroy", "guest_delete", "NAME...", "destroy guests and all they hold", cmd_destroy,
		DESTROY_OPTIONS, 1, ANY, GUESTS, .change = true},
	{"password", NULL, "NAME", "show root's password in a guest", cmd_password, NULL, 1, 1,
		GUEST},
	{"key list", NULL, "NAME", "list the ssh keys that may enter a guest", cmd_key_list, NULL,
		1, 1, GUEST},
	{"key add", NULL, "NAME KEY|FILE|-", "let ssh keys enter a guest", cmd_key_add, NULL, 2, 2,
		{COMPLETE_GUEST, COMPLETE_FILE}, .change = true},
	{"key remove", NULL, "NAME KEY|FILE|-", "let ssh keys enter a guest no more",
		cmd_key_remove, NULL, 2, 2, {COMPLETE_GUEST, COMPLETE_FILE}, .change = true},
	{"storage", NULL, "NAME", "show a guest's storage", cmd_storage, NULL, 1, 1, GUEST},
	{"enlarge", NULL, "NAME [SIZE]", "add SIZE (5GiB) to a guest's storage", cmd_enlarge,
		RESIZE_OPTIONS, 1, 2, GUEST, .change = true},
	{"trim", NULL, "NAME [SIZE]", "take SIZE (5GiB) from a guest's storage", cmd_trim,
		TRIM_OPTIONS, 1, 2, GUEST, .change = true},
	{"snapshot list", "snapshots", "NAME", "list a guest's snapshots", cmd_snapshot_list,
		SHOWN_OPTIONS, 1, 1, GUEST},
	{"snapshot create", NULL, "NAME [SNAPSHOT]", "keep what is on a guest's storage now",
		cmd_snapshot_create, SNAPSHOT_OPTIONS, 1, 2, GUEST, .change = true},
	{"snapshot delete", NULL, "NAME SNAPSHOT...", "delete snapshots of a guest",
		cmd_snapshot_delete, NULL, 2, ANY, SNAPSHOT, .change = true},
	{"restore", NULL, "NAME SNAPSHOT", "make a guest's storage what it was then", cmd_restore,
		RESTORE_OPTIONS, 2, 2, SNAPSHOT, .change = true},
	{"ports", NULL, "[NAME]", "list published ports", cmd_ports, SHOWN_OPTIONS, 0, 1, GUEST},
	{"publish", NULL, "NAME [HOST:]GUEST[/udp]", "publish a port of a guest", cmd_publish,
		PUBLISH_OPTIONS, 2, 2, GUEST, .change = true},
	{"unpublish", NULL, "NAME HOST[/udp]", "take a published port back", cmd_unpublish, NULL, 2,
		2, {COMPLETE_GUEST, COMPLETE_PORT}, .change = true},
	{"switch", NULL, "HOST[/udp] --to NAME", "point a published port at another guest",
		cmd_switch, SWITCH_OPTIONS, 1, 1, {COMPLETE_PORT}, .change = true},
	{"image list", "images", "", "list images", cmd_image_list, SHOWN_OPTIONS},
	{"image show", NULL, "NAME", "show one image", cmd_image_show, IMAGE_OPTIONS, 1, 1, IMAGE},
	{"image import", NULL, "NAME FILE|DIR|-", "make an image of an archive, directory or disk",
		cmd_image_import, IMPORT_OPTIONS, 2, 2, {COMPLETE_IMAGE, COMPLETE_FILE},
		.change = true},
	{"image build", NULL, "KIND [OPTION...]", "build an image: busybox, debian",
		cmd_image_build, BUILD_OPTIONS, 0, ANY, {COMPLETE_KIND}, .change = true,
		.passes = true},
	{"image pull", NULL, "NAME...", "fetch images for Docker from their registries",
		cmd_image_pull, PULL_OPTIONS, 1, ANY, {COMPLETE_IMAGE, COMPLETE_IMAGE},
		.change = true},
	{"image delete", NULL, "NAME...", "delete images", cmd_image_delete, IMAGE_OPTIONS, 1, ANY,
		{COMPLETE_IMAGE, COMPLETE_IMAGE}, .change = true},
	{"exec", NULL, "NAME [--] COMMAND [ARGUMENT...]", "run a command in a guest", cmd_exec,
		EXEC_OPTIONS, 2, ANY, GUEST, .command = true},
	{"attach", NULL, "SESSION", "come back to a command that was left", cmd_attach,
		ATTACH_OPTIONS, 1, 1, {COMPLETE_SESSION}},
	{"sessions", NULL, "[NAME]", "list commands and consoles that are open", cmd_session_list,
		SHOWN_OPTIONS, 0, 1, GUEST},
	{"session end", NULL, "SESSION...", "end commands or consoles", cmd_session_end, NULL, 1,
		ANY, {COMPLETE_SESSION, COMPLETE_SESSION}},
	{"session signal", NULL, "SESSION SIGNAL", "send a signal to a command", cmd_session_signal,
		NULL, 2, 2, {COMPLETE_SESSION}},
	{"console", NULL, "NAME", "use a guest's console", cmd_console, NULL, 1, 1, GUEST},
	{"logs", NULL, "NAME", "show what a guest wrote to its console", cmd_logs, LOGS_OPTIONS, 1,
		1, GUEST},
	{"cp", NULL, "FROM TO", "copy files from or to a guest (NAME:/PATH)", cmd_cp, CP_OPTIONS, 2,
		2, {COMPLETE_COPY, COMPLETE_COPY}},
	{"operations", NULL, "", "list operations, newest first", cmd_operations,
		OPERATIONS_OPTIONS},
	{"operation", NULL, "ID", "show an operation, or wait for its end", cmd_operation,
		OPERATION_OPTIONS, 1, 1, {COMPLETE_OPERATION}},
	{"cancel", NULL, "ID", "stop an operation and undo what it did", cmd_cancel, NULL, 1, 1,
		{COMPLETE_OPERATION}, .change = true},
	{"top", NULL, "", "show what node and guests use, again and again", cmd_top, TOP_OPTIONS},
	{"events", NULL, "", "show what happened, and what happens", cmd_events, EVENTS_OPTIONS},
	{"audit", NULL, "", "show who asked for what, newest first", cmd_audit, AUDIT_OPTIONS},
	{"version", NULL, "", "show the versions of command and agent", cmd_version},
	{"help", NULL, "[COMMAND]", "show help", cmd_help, NULL, 0, 2,
		{COMPLETE_COMMAND, COMPLETE_COMMAND}},
	{"__complete", NULL, "[WORD...]", "list what the last word can become", cmd_complete, NULL,
		0, ANY, .passes = true, .hidden = true},
	{0},
};
