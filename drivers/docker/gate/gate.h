/* What corpus-gate and the driver say to each other.
 *
 * All that a container executes by our doing goes through corpus-gate, which refuses it what gate.c
 * names, and then becomes it. Nobody but its owner may read the program: so whoever has no right to
 * read all files cannot trace it either (execve(2), ptrace(2)), and be quicker than that.
 *
 * It is the first process of each container, and waits until the driver has given the container its
 * network, its names and its limits: so that the container's own program never runs without them,
 * and the driver learns whether it was executed.
 *
 * A directory of the guest's own on the node is GATE_DIR in the container, read-only, with two
 * FIFOs. The program opens GATE_GO for reading and gets a message: lines KEY=VALUE, which take the
 * place of variables that the environment has, and an empty line at its end; it comes by one write,
 * so that it is whole or not there. It then opens GATE_DONE for writing, which closes when its
 * program is executed; when that fails its errno goes there before, an int. Either FIFO may be
 * opened again by a driver that follows one that died. Nobody comes for GATE_PATIENCE_S, or there
 * are no FIFOs, as when somebody starts the container by hand: it says so and ends.
 *
 * dockerd also executes it for commands, with GATE_EXEC before their words. Then it waits for
 * nothing. The driver sees that the process is this program no more; or else that it has said
 * something, on stderr: that is why there is no command. It stays for GATE_EXEC_STAYS_S, so that it
 * is seen and cannot be mistaken for what a command said, and ends as a shell's would.
 *
 * A container that runs has the program of its start, also after an upgrade. The driver notes its
 * GATE_VERSION, and does not ask one for what it does not know.
 */
#pragma once

#define GATE_DIR     "/.corpus"
#define GATE_PROGRAM "/.corpus-gate"
#define GATE_GO	     "go"
#define GATE_DONE    "done"
#define GATE_EXEC    "--exec"

#define GATE_VERSION	  1
#define GATE_VERSION_EXEC 1 /* the first that knows commands */

#define GATE_PATIENCE_S	  60
#define GATE_EXEC_STAYS_S 15   /* longer than the driver looks */
#define GATE_MESSAGE_MAX  4096 /* PIPE_BUF: so much is written at once or not at all */

/* Exit statuses as those of a shell (POSIX, 2.8.2). */
#define GATE_EXIT_ABSENT     127
#define GATE_EXIT_UNUSABLE   126
#define GATE_EXIT_UNATTENDED 125
