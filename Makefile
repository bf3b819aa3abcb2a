# postern: build, run, check, crash, bench, fuzz, lint, format, install, uninstall, clean.
#
# Objects lie under build/ (build/check/ with sanitizers, build/fuzz/ for the fuzzers). Each folder of the tree becomes one
# archive; a program links the archives of its own floor and of those below (see LIBS).

VERSION = 0.1

# What is missing of these Debian packages is installed by name before the target that needs it (tests/install).
BUILD_PACKAGES = gcc make pkg-config libssl-dev libc-ares-dev libsasl2-dev libevent-dev libconfuse-dev libsystemd-dev \
                 libseccomp-dev libjansson-dev libhiredis-dev libidn2-dev libcurl4-openssl-dev
RUN_PACKAGES   = $(BUILD_PACKAGES) libsasl2-modules python3 openssl knot unbound
CHECK_PACKAGES = $(RUN_PACKAGES) libcmocka-dev swaks libnet-ssleay-perl libio-socket-ssl-perl libauthen-sasl-perl \
                 libdigest-hmac-perl msmtp curl nodejs node-nodemailer postfix libpython3.11-testsuite iproute2 \
                 python3-aiosmtpd nftables strace e2fsprogs qemu-system-common fuse3 procps mandoc systemd util-linux redis-server \
                 sasl2-bin libsisimai-perl dovecot-submissiond $(PEER_LIBRARIES)
# Servers that Debian installs only in place of Postfix: unpacked under build/peers/ (tests/unpack). PEER_LIBRARIES are what they need.
PEER_PACKAGES  = exim4-daemon-heavy opensmtpd
PEER_LIBRARIES = libgnutls-dane0 libidn12 libldap-2.5-0 libmariadb3 libnsl2 libpcre2-8-0 libperl5.36 libpq5 libspf2-2 libsqlite3-0 \
                 libevent-2.1-7
BENCH_PACKAGES = $(CHECK_PACKAGES)
FUZZ_PACKAGES  = $(BUILD_PACKAGES) clang-14 libclang-rt-14-dev
LINT_PACKAGES  = $(BUILD_PACKAGES) clang-format-14 mandoc universal-ctags python3

PREFIX  ?= /usr/local
JOBS    := $(shell nproc)
CC      ?= gcc
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wformat=2 -Wvla $(WERROR)
HARDEN   = -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection $(FORTIFY)
LIBS_EXT = openssl libevent libcares libsasl2 libconfuse libsystemd libseccomp jansson hiredis libidn2
ifneq ($(CI),)
WERROR   = -Werror
endif

MODE    ?= release
ifeq ($(MODE),release)
OUT      = build
OPTIMISE = -O2 -g
FORTIFY  = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(MODE),check)
OUT      = build/check
OPTIMISE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(MODE),fuzz)
OUT      = build/fuzz
CC       = clang-14
OPTIMISE = -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
endif

CFLAGS  ?=
override CFLAGS  := -std=c17 -D_GNU_SOURCE -DPOSTERN_VERSION='"$(VERSION)"' $(OPTIMISE) $(WARN) $(HARDEN) $(CFLAGS)
override LDFLAGS := -pie -Wl,-z,relro,-z,now $(OPTIMISE) $(LDFLAGS)
# libcurl is loaded by the role that needs it (relay/sts/library.h), and not linked.
PKG_CFLAGS = $(shell pkg-config --cflags $(LIBS_EXT) libcurl 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(LIBS_EXT) 2>/dev/null) -levent_openssl -lpthread

# The floors, lowest last: what stands left may use what stands right of it.
FOLDERS  = parent submission auth dns sts queue delivery control policy cli role message channels spool smtp conf base
LIBS     = $(foreach folder,$(FOLDERS),$(OUT)/lib/$(folder).a)
sources  = $(wildcard $(if $(filter policy,$1),policy,relay/$1)/*.c)

# A role and the command line see the floors below them, never each other.
BELOW_base     = base
BELOW_conf     = conf smtp base
BELOW_smtp     = smtp base
BELOW_spool    = spool base
BELOW_channels = channels smtp base
BELOW_message  = message channels spool smtp conf base
BELOW_role     = role $(BELOW_message)
BELOW_role_of  = $1 role $(BELOW_message)

.PHONY: all build run check crash bench fuzz lint format install uninstall clean programs unit
.SECONDARY:

all: build

build:
	@tests/install $(BUILD_PACKAGES)
	@$(MAKE) --no-print-directory programs

programs: $(OUT)/posternd $(OUT)/postern

$(OUT)/posternd: $(OUT)/obj/relay/posternd.o $(LIBS)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIBS) -Wl,--end-group $(PKG_LIBS)

$(OUT)/postern: $(OUT)/obj/relay/cli/main.o $(LIBS)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(foreach l,cli message spool channels smtp conf base,$(OUT)/lib/$l.a) -Wl,--end-group $(PKG_LIBS)

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

define archive
$(OUT)/lib/$1.a: $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out relay/cli/main.c,$(call sources,$1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach folder,$(FOLDERS),$(eval $(call archive,$(folder))))

# tests/unit/FOLDER/NAME.c tests what is in FOLDER, with cmocka.
UNIT = $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/*/*.c))
unit: $(UNIT)

below = $(foreach l,$(or $(BELOW_$1),$(call BELOW_role_of,$1)),$(OUT)/lib/$l.a)
define unit_folder
$(OUT)/unit/$1/%: $(OUT)/obj/tests/unit/$1/%.o $(call below,$1)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$< -Wl,--start-group $(call below,$1) -Wl,--end-group $(PKG_LIBS) -lcmocka
endef
$(foreach folder,$(FOLDERS),$(eval $(call unit_folder,$(folder))))

# tests/fuzz/FOLDER-NAME.c: a libFuzzer target for what is in FOLDER.
FUZZERS = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
define fuzz_folder
$(OUT)/$1-%: $(OUT)/obj/tests/fuzz/$1-%.o $(call below,$1)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $$@ $$< -Wl,--start-group $(call below,$1) -Wl,--end-group $(PKG_LIBS)
endef
ifeq ($(MODE),fuzz)
$(foreach folder,$(FOLDERS),$(eval $(call fuzz_folder,$(folder))))
fuzzers: $(FUZZERS)
endif

run:
	@tests/install $(RUN_PACKAGES)
	@$(MAKE) --no-print-directory programs
	@tests/lab/run-world

check:
	@tests/install $(CHECK_PACKAGES)
	@tests/unpack $(PEER_PACKAGES)
	@$(MAKE) --no-print-directory -j$(JOBS) programs bench-tools
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=check programs unit crash-tools
	@tests/run

# Power cuts, errors of each system call, and kills of the running roles, in thousands: the better part of an hour.
crash:
	@tests/install $(CHECK_PACKAGES)
	@$(MAKE) --no-print-directory -j$(JOBS) programs crash-tools
	@build/crash/power --seeds 1 $(CRASH_SEEDS)
	@POSTERN_CRASH_LONG=1 python3 tests/crash/powercut_crash.py
	@POSTERN_CRASH_LONG=1 python3 tests/crash/fault_crash.py
	@POSTERN_CRASH_LONG=1 python3 tests/crash/kill_crash.py
	@POSTERN_CRASH_LONG=1 python3 tests/crash/compact_crash.py

bench:
	@tests/install $(BENCH_PACKAGES)
	@$(MAKE) --no-print-directory -j$(JOBS) programs
	@$(MAKE) --no-print-directory bench-tools
	@tests/bench/run
	@tests/bench/decisions
	@tests/bench/scale 100000 1000000
	@tests/bench/mx
	@tests/bench/delivery
	@tests/bench/recipients
	@tests/bench/sites

fuzz:
	@tests/install $(FUZZ_PACKAGES)
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=fuzz fuzzers
	@tests/fuzz/run $(FUZZ_SECONDS)

# The enumerator of power cuts; `make crash` has it look at CRASH_SEEDS runs, some thousand disk states each.
CRASH_SEEDS ?= 200
.PHONY: crash-tools
crash-tools: $(OUT)/crash/power
$(OUT)/crash/power: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/crash/*.c)) $(OUT)/lib/spool.a $(OUT)/lib/base.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

# Load generator and sink of the benchmarks and the lab, small C programs of their own.
BENCH_TOOLS = $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/*.c))
.PHONY: bench-tools
bench-tools: $(BENCH_TOOLS)
build/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $< -lssl -lcrypto -lpthread

# fill writes spools with the spool's own library.
FILL_LIBS = $(foreach l,$(BELOW_message),build/lib/$l.a)
build/bench/fill: tests/bench/fill.c $(FILL_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LDFLAGS) -Wl,--start-group $(FILL_LIBS) -Wl,--end-group $(PKG_LIBS)

# decide is policy without its channels.
DECIDE_LIBS = $(foreach l,$(call BELOW_role_of,policy),build/lib/$l.a)
build/bench/decide: tests/bench/decide.c $(DECIDE_LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LDFLAGS) -Wl,--start-group $(DECIDE_LIBS) -Wl,--end-group $(PKG_LIBS)

lint:
	@tests/install $(LINT_PACKAGES)
	@tests/lint

format:
	@tests/install $(LINT_PACKAGES)
	clang-format-14 -i $$(git ls-files '*.c' '*.h')

install: programs
	install -D -m 755 $(OUT)/posternd $(DESTDIR)$(PREFIX)/sbin/posternd
	install -D -m 755 $(OUT)/postern $(DESTDIR)$(PREFIX)/bin/postern
	install -D -m 644 relay/posternd.8 $(DESTDIR)$(PREFIX)/share/man/man8/posternd.8
	install -D -m 644 relay/cli/postern.1 $(DESTDIR)$(PREFIX)/share/man/man1/postern.1
	install -D -m 644 relay/conf/postern.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/postern.conf.5
	install -D -m 644 policy/postern-policy.7 $(DESTDIR)$(PREFIX)/share/man/man7/postern-policy.7
	install -D -m 644 systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/postern.conf
	install -D -m 644 systemd/tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/postern.conf
	mkdir -p $(DESTDIR)/usr/lib/systemd/system
	sed 's|@sbindir@|$(PREFIX)/sbin|' systemd/postern.service > $(DESTDIR)/usr/lib/systemd/system/postern.service

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/posternd $(DESTDIR)$(PREFIX)/bin/postern $(DESTDIR)$(PREFIX)/share/man/man8/posternd.8 \
	      $(DESTDIR)$(PREFIX)/share/man/man1/postern.1 $(DESTDIR)$(PREFIX)/share/man/man5/postern.conf.5 \
	      $(DESTDIR)$(PREFIX)/share/man/man7/postern-policy.7 \
	      $(DESTDIR)/usr/lib/sysusers.d/postern.conf $(DESTDIR)/usr/lib/tmpfiles.d/postern.conf \
	      $(DESTDIR)/usr/lib/systemd/system/postern.service

clean:
	rm -rf build

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
