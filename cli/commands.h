/* All commands, in the order of help. */
#pragma once

#include "cli/args.h"

extern const struct command COMMANDS[]; /* ends with a NULL name */

/* Commands, by the file that holds them. */
#define COMMAND(name) int name(struct cli *cli, const struct args *args, struct err *err)

COMMAND(cmd_node); /* cmd_node.c */
COMMAND(cmd_slots);
COMMAND(cmd_operations);
COMMAND(cmd_operation);
COMMAND(cmd_cancel);

COMMAND(cmd_edit); /* cmd_edit.c */

COMMAND(cmd_doctor); /* cmd_doctor.c */

COMMAND(cmd_events); /* cmd_events.c */

COMMAND(cmd_top); /* cmd_top.c */

COMMAND(cmd_list); /* cmd_guest.c */
COMMAND(cmd_show);
COMMAND(cmd_create);
COMMAND(cmd_apply);
COMMAND(cmd_set);
COMMAND(cmd_start);
COMMAND(cmd_stop);
COMMAND(cmd_restart);
COMMAND(cmd_kill);
COMMAND(cmd_freeze);
COMMAND(cmd_thaw);
COMMAND(cmd_rename); /* cmd_clone.c */
COMMAND(cmd_clone);

COMMAND(cmd_destroy); /* cmd_destroy.c */

COMMAND(cmd_password); /* cmd_access.c */
COMMAND(cmd_key_list);
COMMAND(cmd_key_add);
COMMAND(cmd_key_remove);
COMMAND(cmd_audit);

COMMAND(cmd_storage); /* cmd_storage.c */
COMMAND(cmd_enlarge);
COMMAND(cmd_trim);

COMMAND(cmd_snapshot_list); /* cmd_snapshot.c */
COMMAND(cmd_snapshot_create);
COMMAND(cmd_snapshot_delete);
COMMAND(cmd_restore);

COMMAND(cmd_ports); /* cmd_ports.c */
COMMAND(cmd_publish);
COMMAND(cmd_unpublish);
COMMAND(cmd_switch);

COMMAND(cmd_image_list); /* cmd_image.c */
COMMAND(cmd_image_show);
COMMAND(cmd_image_import);
COMMAND(cmd_image_build);
COMMAND(cmd_image_pull);
COMMAND(cmd_image_delete);

COMMAND(cmd_exec); /* cmd_session.c */
COMMAND(cmd_attach);
COMMAND(cmd_console);
COMMAND(cmd_session_list);
COMMAND(cmd_session_end);
COMMAND(cmd_session_signal);
COMMAND(cmd_logs);

COMMAND(cmd_cp); /* cmd_cp.c */

COMMAND(cmd_version); /* help.c */
COMMAND(cmd_help);

COMMAND(cmd_complete); /* complete.c */

#undef COMMAND
