/* The header of a qcow2 disk: docs/interop/qcow2.rst of QEMU, whose numbers are big-endian. */
#include "storage/qcow2.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MAGIC		   0x514649fbU /* "QFI\xfb" */
#define HEADER_V2	   72
#define HEADER_V3	   104
#define CLUSTER_BITS_MIN   9
#define CLUSTER_BITS_MAX   21 /* what QEMU opens */
#define SUBCLUSTER_BITS	   14 /* the least with extended L2 entries */
#define REFCOUNT_ORDER_MAX 6

/* QEMU's own bounds of the tables, in bytes. */
#define L1_MAX	     (32U << 20)
#define REFTABLE_MAX (8U << 20)

#define EXTENSION_END	 0
#define EXTENSION_CRYPTO 0x0537be77U
#define EXTENSION_DATA	 0x44415441U

#define FEATURE_DIRTY	    (1ULL << 0)
#define FEATURE_CORRUPT	    (1ULL << 1)
#define FEATURE_DATA_FILE   (1ULL << 2)
#define FEATURE_COMPRESSION (1ULL << 3)
#define FEATURE_EXTENDED_L2 (1ULL << 4)
#define FEATURES_KNOWN	    0x1fULL
#define AUTOCLEAR_RAW_DATA  (1ULL << 1)

struct header {
	uint32_t version;
	uint64_t backing_offset;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt;
	uint32_t l1_entries;
	uint64_t l1_offset, reftable_offset;
	uint32_t reftable_clusters, snapshots;
	uint64_t incompatible, autoclear;
	uint32_t refcount_order, length;
	uint8_t compression;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static int refuse(struct err *err, const char *why)
{
	return err_set(err, ERR_INVALID, "format", "this qcow2 disk %s", why);
}

/* --- Reading --------------------------------------------------------------------------------- */

static void read_v2(const uint8_t *p, struct header *h)
{
	h->backing_offset = be64(p + 8);
	h->cluster_bits = be32(p + 20);
	h->size = be64(p + 24);
	h->crypt = be32(p + 32);
	h->l1_entries = be32(p + 36);
	h->l1_offset = be64(p + 40);
	h->reftable_offset = be64(p + 48);
	h->reftable_clusters = be32(p + 56);
	h->snapshots = be32(p + 60);
	h->refcount_order = 4;
	h->length = HEADER_V2;
}

static void read_v3(const uint8_t *p, size_t length, struct header *h)
{
	h->incompatible = be64(p + 72);
	h->autoclear = be64(p + 88);
	h->refcount_order = be32(p + 96);
	h->length = be32(p + 100);
	if (h->length > HEADER_V3 && length > HEADER_V3)
		h->compression = p[HEADER_V3];
}

static int read_header(const uint8_t *data, size_t length, struct header *ret, struct err *err)
{
	struct header h = {0};

	if (length < 8 || be32(data) != MAGIC)
		return err_set(err, ERR_INVALID, "format",
			"this is not a qcow2 disk: it does not begin as one");
	h.version = be32(data + 4);
	if (h.version != 2 && h.version != 3)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk is of version %" PRIu32
			", which is not known here: convert it "
			"with qemu-img convert -O qcow2",
			h.version);
	if (length < (h.version == 2 ? HEADER_V2 : HEADER_V3))
		return refuse(err, "is cut short in its header");
	read_v2(data, &h);
	if (h.version == 3)
		read_v3(data, length, &h);
	*ret = h;
	return 0;
}

/* --- Other files ----------------------------------------------------------------------------- */

static int check_extension(uint32_t type, struct err *err)
{
	if (type == EXTENSION_DATA)
		return refuse(err, "keeps its data in another file: convert it with qemu-img "
				   "convert -O qcow2");
	if (type == EXTENSION_CRYPTO)
		return refuse(err, "is encrypted: decrypt it first");
	return 0;
}

static int check_extensions(
	const uint8_t *data, size_t length, const struct header *h, struct err *err)
{
	uint64_t cluster = 1ULL << h->cluster_bits, end = cluster < length ? cluster : length;
	uint64_t at = h->length;

	/* A header that fills its cluster has none. */
	while (at + 8 <= end) {
		uint32_t type = be32(data + at), size = be32(data + at + 4);
		int r;

		if (type == EXTENSION_END)
			return 0;
		r = check_extension(type, err);
		if (r < 0)
			return r;
		at += 8 + (((uint64_t)size + 7) & ~7ULL);
	}
	return at > end || end < cluster ? refuse(err, "has header extensions beyond its header")
					 : 0;
}

static int check_references(const struct header *h, struct err *err)
{
	if (h->backing_offset)
		return refuse(err, "rests on another file (a backing file), which an image must "
				   "not: flatten it with qemu-img convert -O qcow2");
	if (h->incompatible & FEATURE_DATA_FILE || h->autoclear & AUTOCLEAR_RAW_DATA)
		return check_extension(EXTENSION_DATA, err);
	if (h->crypt)
		return check_extension(EXTENSION_CRYPTO, err);
	return 0;
}

/* --- Figures --------------------------------------------------------------------------------- */

static int check_features(const struct header *h, struct err *err)
{
	bool compression = h->incompatible & FEATURE_COMPRESSION;

	if (h->incompatible & ~FEATURES_KNOWN)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk needs features that are not known here (bits %#" PRIx64
			")",
			(uint64_t)(h->incompatible & ~FEATURES_KNOWN));
	if (h->incompatible & FEATURE_CORRUPT)
		return refuse(err, "is marked as damaged: repair it with qemu-img check -r all");
	if (h->incompatible & FEATURE_DIRTY)
		return refuse(err, "was not closed properly: repair it with qemu-img check -r all");
	if (compression != (h->compression == 1) || h->compression > 1)
		return refuse(err, "is compressed in a way that is not known here");
	return 0;
}

static int check_shape(const struct header *h, struct err *err)
{
	uint32_t least = h->incompatible & FEATURE_EXTENDED_L2 ? SUBCLUSTER_BITS : CLUSTER_BITS_MIN;

	if (h->cluster_bits < least || h->cluster_bits > CLUSTER_BITS_MAX)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk has clusters of 2^%" PRIu32 " bytes, which cannot be",
			h->cluster_bits);
	if (h->refcount_order > REFCOUNT_ORDER_MAX)
		return refuse(err, "has reference counts of an impossible width");
	if (h->length < (h->version == 2 ? HEADER_V2 : HEADER_V3) || h->length % 8 ||
		h->length > 1ULL << h->cluster_bits)
		return refuse(err, "has a header of an impossible length");
	if (h->size == 0 || h->size % 512 || h->size > INT64_MAX)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk says that it has %" PRIu64 " bytes, which cannot be",
			h->size);
	if (h->snapshots)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk holds %" PRIu32
			" snapshots of its own: make one without by "
			"qemu-img convert -O qcow2",
			h->snapshots);
	return 0;
}

static int check_table(const struct header *h, uint64_t offset, uint64_t bytes, uint64_t file_size,
	const char *what, struct err *err)
{
	if (offset == 0 || offset & ((1ULL << h->cluster_bits) - 1) || offset > file_size ||
		bytes > file_size - offset)
		return err_set(err, ERR_INVALID, "format",
			"this qcow2 disk has its %s table where it cannot be: it is damaged or cut "
			"short",
			what);
	return 0;
}

static int check_tables(const struct header *h, uint64_t file_size, struct err *err)
{
	uint64_t cluster = 1ULL << h->cluster_bits;
	uint64_t entries = cluster / (h->incompatible & FEATURE_EXTENDED_L2 ? 16 : 8);
	uint64_t span = entries * cluster, l1 = (uint64_t)h->l1_entries * 8;
	uint64_t reftable = h->reftable_clusters * cluster;
	int r;

	if (l1 > L1_MAX || reftable > REFTABLE_MAX || reftable == 0)
		return refuse(err, "has tables of an impossible size");
	if (h->l1_entries < h->size / span + (h->size % span != 0))
		return refuse(err, "is larger than its tables can hold: its size is a lie");
	r = check_table(h, h->l1_offset, l1, file_size, "L1", err);
	return r < 0 ? r : check_table(h, h->reftable_offset, reftable, file_size, "refcount", err);
}

int qcow2_parse(
	const uint8_t *data, size_t length, uint64_t file_size, struct qcow2 *ret, struct err *err)
{
	struct header h = {0};
	int r = read_header(data, length, &h, err);

	if (r == 0)
		r = check_references(&h, err);
	if (r == 0)
		r = check_features(&h, err);
	if (r == 0)
		r = check_shape(&h, err);
	if (r == 0)
		r = check_extensions(data, length, &h, err);
	if (r == 0)
		r = check_tables(&h, file_size, err);
	if (r < 0)
		return r;
	*ret = (struct qcow2){.size = h.size, .cluster_size = 1U << h.cluster_bits};
	return 0;
}

int qcow2_size(const uint8_t *data, size_t length, uint64_t *ret)
{
	if (length < HEADER_V2 || be32(data) != MAGIC)
		return -EINVAL;
	*ret = be64(data + 24);
	return 0;
}
