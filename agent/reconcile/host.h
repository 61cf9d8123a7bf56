/* The parts of the host that the configuration describes; shared by what opens them for good and
 * what takes them away. */
#pragma once

struct config;
struct err;
struct net;
struct storage;

int host_open_storage(const struct config *config, struct storage **ret, struct err *err);
int host_open_net(const struct config *config, struct net **ret, struct err *err);
