/* What corpus-gate and the driver say to each other.
 *
 * corpus-gate is the first process of each container. It waits until the driver has given the
 * container its network, its names and its limits, and then becomes the container's own program: so
 * that this never runs without them, and the driver learns whether it was executed.
 *
 * A directory of the guest's own on the node is GATE_DIR in the container, read-only, with two
 * FIFOs. The program opens GATE_GO for reading and gets a message: lines KEY=VALUE, which take the
 * place of variables that the environment has, and an empty line at its end; it comes by one write,
 * so that it is whole or not there. It then opens GATE_DONE for writing, which closes when its
 * program is executed; when that fails its errno goes there before, an int. Either FIFO may be
 * opened again by a driver that follows one that died. Nobody comes for GATE_PATIENCE_S, or there
 * are no FIFOs, as when somebody starts the container by hand: it says so and ends.
 */
#pragma once

#define GATE_DIR     "/.corpus"
#define GATE_PROGRAM GATE_DIR "/gate"
#define GATE_GO	     "go"
#define GATE_DONE    "done"

#define GATE_PATIENCE_S	 60
#define GATE_MESSAGE_MAX 4096 /* PIPE_BUF: so much is written at once or not at all */

/* Exit statuses as those of a shell (POSIX, 2.8.2). */
#define GATE_EXIT_ABSENT     127
#define GATE_EXIT_UNUSABLE   126
#define GATE_EXIT_UNATTENDED 125
