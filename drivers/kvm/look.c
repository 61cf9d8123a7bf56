/* What the guests are. */
#include "drivers/kvm/look.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/definition.h"
#include "drivers/kvm/guest.h"

/* A domain that only looks like ours says nothing of the guest: that has none. */
static bool is_known(struct kvm_guest *g, virConnectPtr conn)
{
	struct err err = {0};

	return conn && (guest_find(g, conn, &err) == 0 || err.code == ERR_CONFLICT);
}

bool look_one(struct kvm *kvm, virConnectPtr conn, const char *id, struct driver_status *ret)
{
	CLEANUP(guest_finish) struct kvm_guest g = {.kvm = kvm, .definition.guest.id = id};

	if (kvm_paths(kvm, id, &g.paths, NULL) < 0 || !definition_exists(g.paths.definition))
		return false;
	if (is_known(&g, conn)) {
		guest_status(&g, ret);
		return true;
	}
	*ret = (struct driver_status){.state = GUEST_UNKNOWN, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return true;
}

struct looking {
	struct kvm *kvm;
	virConnectPtr conn;
};

static bool look(void *data, const char *id, struct driver_status *ret)
{
	const struct looking *l = data;

	return look_one(l->kvm, l->conn, id, ret);
}

int look_all(struct kvm *kvm, virConnectPtr conn, struct driver_status **ret, size_t *ret_count,
	struct err *err)
{
	struct looking l = {kvm, conn};

	return definition_list(kvm->dirs.state, look, &l, ret, ret_count, err);
}
