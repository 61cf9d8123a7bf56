/* What the guests are. */
#include "drivers/kvm/look.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
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

	if (kvm_paths(kvm, id, &g.paths, NULL) < 0 || !define_exists(&g.paths))
		return false;
	if (is_known(&g, conn)) {
		guest_status(&g, ret);
		return true;
	}
	*ret = (struct driver_status){.state = GUEST_UNKNOWN, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return true;
}

int look_all(struct kvm *kvm, virConnectPtr conn, struct driver_status **ret, size_t *ret_count,
	struct err *err)
{
	CLEANUP(closedirp) DIR *dir = opendir(kvm->state_dir);
	AUTOFREE struct driver_status *list = calloc(1, sizeof(*list));
	size_t count = 0, room = 1;
	struct dirent *e;

	if (!dir || !list)
		return err_errno(err, errno, "cannot list %s", kvm->state_dir);
	while ((e = readdir(dir))) {
		if (count == room) {
			struct driver_status *grown = reallocarray(list, room * 2, sizeof(*list));

			if (!grown)
				return err_errno(err, ENOMEM, "no memory for a list");
			list = grown;
			room *= 2;
		}
		count += look_one(kvm, conn, e->d_name, &list[count]);
	}
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}
