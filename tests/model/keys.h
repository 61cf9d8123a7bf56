/* Public keys of ssh for tests; nobody has kept their private halves. */
#pragma once

#define KEY_ED25519                                                                                \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK"             \
	"/E6C someone@example.org"
#define KEY_RSA                                                                                    \
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDA9+0Y1/Dgz0u4b70M2QKVyWbL3cWvjy8bZ7eO"             \
	"PoxiOVqo24m9juONAw43/yLielzNxP9oW96/5mabXs2aRAMgXcLSlASCUIIpaExc9CfDDsPOzEuy"             \
	"74ODK7icV4A9AiigEpXd53+MXWcBbu68RsYcc+HUm8Y5jsb5G1mvrTjK/w== x"
#define KEY_ECDSA256                                                                               \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBANc"             \
	"mtZ7rhZ/rntZ3fQKHQATfOpcwB276qhSegk0ZTfkygonb9za76hRQB2LFeDgS7789nnpC3nnU+UP"             \
	"ozXrSrY= x"
#define KEY_ECDSA384                                                                               \
	"ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBH9b"             \
	"kuLkKqxL6vYhaf+OT9W6OjmeKSh4BX0o6yOK78uazhVwhxUs8Vz2wR0LnZEg5UJLG7IpMcQE3cvE"             \
	"tCVEAiPMKabKPCOpQLXrA2GDUt21FGAEvJXtLaql3VgmQWXfgA== x"
#define KEY_ECDSA521                                                                               \
	"ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBADI"             \
	"JMP3FUWVHnSWU02VoUIQ9XdI0Ov2sqodKCVb7itoqs9grFFk5526HJtj7xome4nv337BL5toYn4v"             \
	"rhphufH+0ACCPtwKSSySGQS6/7nQcrrn2/WGYjqUG8rIAKreYlJl4J0e7zwRd+lHYRSxWg4vdS7r"             \
	"mwubp9V0uKmjyFfY2V9/uw== x"
#define KEY_SK_ED25519                                                                             \
	"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABA"             \
	"gMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
#define KEY_SK_ECDSA                                                                               \
	"sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3Blb"             \
	"nNzaC5jb20AAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"             \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEc3NoOg=="
#define KEY_OF_ANOTHER_TYPE                                                                        \
	"ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAgQDA9+0Y1/Dgz0u4b70M2QKVyWbL3cWvjy8b"             \
	"Z7eOPoxiOVqo24m9juONAw43/yLielzNxP9oW96/5mabXs2aRAMgXcLSlASCUIIpaExc9CfDDsPO"             \
	"zEuy74ODK7icV4A9AiigEpXd53+MXWcBbu68RsYcc+HUm8Y5jsb5G1mvrTjK/w=="
#define KEY_CUT_OFF "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"
#define KEY_WITH_MORE                                                                              \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"             \
	"AAAAAA=="
#define KEY_WITH_HUGE_FIELD                                                                        \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5/////wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"             \
	"AAAA"
