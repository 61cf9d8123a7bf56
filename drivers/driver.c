/* What follows from a driver's struct of functions. */
#include "drivers/driver.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

static const struct {
	enum driver_capability capability;
	const char *name;
} CAPABILITIES[] = {
	{DRIVER_CAN_UPDATE, "update"},
	{DRIVER_CAN_FREEZE, "freeze"},
	{DRIVER_CAN_EXEC, "exec"},
	{DRIVER_CAN_UNPRIVILEGED, "unprivileged"},
	{DRIVER_CAN_CONSOLE, "console"},
	{DRIVER_CAN_FILE, "file"},
	{DRIVER_CAN_STATS, "stats"},
	{DRIVER_CAN_DISK, "disk"},
	{DRIVER_CAN_SAVE, "save"},
	{DRIVER_CAN_IMAGE, "image"},
	{DRIVER_CAN_LAYER, "layer"},
};

const char *driver_capability_to_string(enum driver_capability capability)
{
	for (size_t i = 0; i < ARRAY_SIZE(CAPABILITIES); i++)
		if (CAPABILITIES[i].capability == capability)
			return CAPABILITIES[i].name;
	return "unknown";
}

uint32_t driver_capabilities(const struct driver_ops *ops)
{
	return (ops->update ? DRIVER_CAN_UPDATE : 0) | (ops->freeze ? DRIVER_CAN_FREEZE : 0) |
	       (ops->exec ? DRIVER_CAN_EXEC : 0) | (ops->console ? DRIVER_CAN_CONSOLE : 0) |
	       (ops->file ? DRIVER_CAN_FILE : 0) | (ops->stats ? DRIVER_CAN_STATS : 0) |
	       (ops->disk ? DRIVER_CAN_DISK : 0) | (ops->save ? DRIVER_CAN_SAVE : 0) |
	       (ops->image ? DRIVER_CAN_IMAGE : 0) | (ops->layer ? DRIVER_CAN_LAYER : 0);
}

/* The name of the first mandatory function that is not there, or NULL. */
static const char *missing(const struct driver_ops *o)
{
	const struct {
		const char *name;
		bool there;
	} mandatory[] = {
		{"name", o->name},
		{"open", o->open},
		{"close", o->close},
		{"probe", o->probe},
		{"create", o->create},
		{"start", o->start},
		{"stop", o->stop},
		{"kill", o->kill},
		{"destroy", o->destroy},
		{"status", o->status},
		{"list", o->list},
	};

	for (size_t i = 0; i < ARRAY_SIZE(mandatory); i++)
		if (!mandatory[i].there)
			return mandatory[i].name;
	return NULL;
}

int driver_ops_check(const struct driver_ops *ops, struct err *err)
{
	const char *name = ops->name ? ops->name : "?";
	const char *lacks = missing(ops);

	if (lacks)
		return err_set(err, ERR_INTERNAL, NULL, "driver %s has no %s", name, lacks);
	if (!ops->watch_fd != !ops->watch_dispatch)
		return err_set(err, ERR_INTERNAL, NULL,
			"driver %s has one of watch_fd and watch_dispatch, but not both", name);
	if (!ops->image != !ops->layer)
		return err_set(err, ERR_INTERNAL, NULL,
			"driver %s has one of image and layer, but not both", name);
	return 0;
}
