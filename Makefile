# SPDX-License-Identifier: MIT
CFLAGS ?= -O2 -g
STRICT  = -std=gnu17 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
build/base: ; mkdir -p $@
