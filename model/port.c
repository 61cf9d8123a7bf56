/* Published ports. */
#include "model/port.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/names.h"
#include "model/reader.h"

static const char *const PROTOS[] = {[PORT_TCP] = "tcp", [PORT_UDP] = "udp"};

/* What a node needs for itself or serves by domain. */
static const uint16_t RESERVED[] = {22, 25, 53, 80, 443};

DEFINE_NAMES(port_proto, PROTOS)

int port_check_host(uint16_t host, const char *field, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(RESERVED); i++)
		if (host == RESERVED[i])
			return err_set(err, ERR_INVALID, field,
				"%s must not be %u: that port of the node is never given out",
				field, host);
	return 0;
}

static int read_proto(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	const char *text = json_string_value(value);

	(void)field;
	if (!text || port_proto_from_string(text, member) < 0)
		return reader_expected(path, "\"tcp\" or \"udp\"", err);
	return 0;
}

static int read_host(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	int r = reader_u16(field, value, path, member, err);

	return r < 0 ? r : port_check_host(*(uint16_t *)member, path, err);
}

static int check_purpose(const char *text, const char *field, struct err *err)
{
	return *text ? name_check_word(text, field, err) : 0;
}

static const struct reader_field PORT_FIELDS[] = {
	{.name = "proto", .read = read_proto, .offset = offsetof(struct port, proto)},
	{.name = "host",
		.read = read_host,
		.offset = offsetof(struct port, host),
		.max = UINT16_MAX},
	{.name = "guest",
		.read = reader_u16,
		.offset = offsetof(struct port, guest),
		.required = true,
		.min = 1,
		.max = UINT16_MAX},
	{.name = "purpose",
		.read = reader_chars,
		.offset = offsetof(struct port, purpose),
		.size = PURPOSE_MAX + 1,
		.check = check_purpose},
};

int port_from_json(const json_t *json, const char *field, struct port *ret, struct err *err)
{
	struct port port = {.proto = PORT_TCP};
	int r = reader_object(json, field, PORT_FIELDS, ARRAY_SIZE(PORT_FIELDS), &port, err);

	if (r == 0)
		*ret = port;
	return r;
}

json_t *port_to_json(const struct port *port)
{
	return json_pack("{s:s, s:o, s:i, s:s}", "proto", port_proto_to_string(port->proto), "host",
		port->host ? json_integer(port->host) : json_null(), "guest", port->guest,
		"purpose", port->purpose);
}
