# See "make help".

VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
DOCDIR ?= $(PREFIX)/share/doc/pinshim
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
BUILD ?= build
CFLAGS ?= -O2 -g
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

warnings := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla -Wundef \
	-Wformat=2
hardening := -fstack-protector-strong -fno-strict-aliasing -fno-plt
ifeq ($(findstring -fsanitize,$(CFLAGS)),)
hardening += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
layers = $(in_openssl)
common := -std=gnu11 -D_GNU_SOURCE -DPINSHIM_VERSION='"$(VERSION)"' $(warnings) $(hardening) -MMD -MP
machine := $(shell $(CC) -dumpmachine 2>/dev/null)
# On arm64, what libgcc's atomics ask for is glibc's alone.
shim_flags := $(if $(findstring aarch64,$(machine)),-mno-outline-atomics) -fPIC -fvisibility=hidden -ftls-model=initial-exec
# Without libdl.so.2: only up to glibc 2.33 it is needed, and then loader.c brings it in. Without the start files: what they refer to is
# looked for in vain in every object of the program.
shim_link := -shared -nostartfiles -Wl,-soname,libpinshim.so -Wl,-z,relro,-z,now,-z,text,-z,noexecstack,-z,nodelete \
	-Wl,-z,separate-code,-T,shim/segments.ld
# The canary of its stack protector is a variable, which glibc has in its loader, and musl in libc: it stays undefined, so that no loader is linked.
ifneq ($(and $(findstring aarch64,$(machine)),$(findstring linux-gnu,$(machine))),)
shim_link += -nodefaultlibs $(shell $(CC) -print-file-name=libc.so.6) -lgcc
else
shim_link += -Wl,-z,defs
endif

# Each layer is compiled with only the headers that it may depend on.
in_core := -Ishim/core
in_libc := $(in_core) -Ishim/libc
in_openssl := $(in_libc) -Ishim/openssl
in_gnutls := $(in_libc) -Ishim/gnutls
# What the command and the unit tests stand on as well.
core := $(addprefix core/,config text kernel memory file host hello quic aes roots pins pins_text pins_target pins_digest pins_client pins_parse pins_keep policy plaintext sha2 der pem digest peer path pinfile client_file)
# What runs in every process comes first, so that it stands together in few pages.
first := core/log $(addprefix libc/,loader start exec) core/config core/kernel
shim := $(first) $(addprefix libc/,socket once resolve send receive stdio filter) $(filter-out $(first),$(core)) core/resolved core/target core/dns core/proxy_request libc/resolver libc/proxy libc/within libc/sent libc/guard libc/required core/stack core/pinstore \
	$(addprefix core/,evaluation report proven state fortify) \
	$(addprefix openssl/,client_decode certs ossl verify_param through facts session context conn refuse decide psk told verify client_cert unseen start security arrival handshake exports openssl) \
	$(addprefix gnutls/,gtls client_decode certs facts conn credentials decide refuse told session client_cert verify handshake exports gnutls) \
	backends libc/cares libc/dlsym libc/dlsym_entry
command := main output run doctor steps prove impostor learn launch event observed targets objects workers dial lint pin into check linked \
	$(addprefix examine/,examine program script wrapper tls_library libraries elf_file preload)
# Of the shim, beside the core.
shared := $(addprefix core/,log proxy_request report) $(addprefix openssl/,client_decode certs)
# What unit tests need besides the core.
in_unit := $(addprefix core/,resolved dns proxy_request log stack pinstore state proven) $(addprefix libc/,sent resolver socket)

all: $(BUILD)/libpinshim.so $(BUILD)/libpinshim-prove.so $(BUILD)/pinshim

$(BUILD)/shim/core/%.o: layers := $(in_core)
$(BUILD)/shim/libc/%.o: layers := $(in_libc)
$(BUILD)/shim/gnutls/%.o: layers := $(in_gnutls)
$(BUILD)/shim/backends.o: layers := $(in_openssl) -Ishim/gnutls
$(BUILD)/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(common) $(layers) $(shim_flags) $(CPPFLAGS) $(CFLAGS) $(size) -c -o $@ $<

# What runs seldom is made small.
$(patsubst %,$(BUILD)/shim/%.o,$(addprefix core/,log report config pem client_file text pins_client pins_keep memory plaintext path pinfile stack proxy_request roots quic aes pins pins_parse \
	pins_target file dns) $(addprefix libc/,start exec filter guard loader required cares dlsym proxy resolve resolver sent socket within) $(addprefix openssl/,start client_decode client_cert psk ossl refuse) \
	$(addprefix gnutls/,certs client_decode client_cert gtls gnutls refuse session told)): size := -Os

# Where the command looks for the object; written only when it is another directory than before.
$(BUILD)/libdir: always
	@mkdir -p $(@D)
	@echo '$(LIBDIR)' | cmp -s - $@ || echo '$(LIBDIR)' > $@

$(BUILD)/cmd/examine/preload.o: $(BUILD)/libdir
$(BUILD)/cmd/main.o: VERSION
$(BUILD)/cmd/examine/preload.o: CPPFLAGS += -DPINSHIM_LIBDIR='"$(LIBDIR)"'

$(BUILD)/cmd/%.o: cmd/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(common) $(layers) -Ishim/gnutls -Icmd -Icmd/examine -fPIE $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The script is anonymous: a named version would stop the interposition of functions that carry OpenSSL's own.
$(BUILD)/exports.map: shim/exports.list
	@mkdir -p $(@D)
	$(Q){ echo '{ global:'; sed -e '/^#/d' -e 's/$$/;/' $<; echo 'local: *; };'; } > $@

$(BUILD)/shim/%.o: shim/%.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -c -o $@ $<

$(BUILD)/libpinshim.so: $(shim:%=$(BUILD)/shim/%.o) $(BUILD)/exports.map shim/segments.ld
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--version-script=$(BUILD)/exports.map $(shim_link)

# What leads connections to the impostor of "pinshim prove". Like the shim, it is for every libc; up to glibc 2.33 dlsym is in libdl.so.2.
$(BUILD)/libpinshim-prove.so: cmd/redirect/redirect.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(common) $(shim_flags) -U_FORTIFY_SOURCE -fno-stack-protector $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -shared -nostartfiles \
		-Wl,-soname,libpinshim-prove.so,-z,noexecstack,-z,relro -ldl

$(BUILD)/pinshim: $(command:%=$(BUILD)/cmd/%.o) $(core:%=$(BUILD)/shim/%.o) $(shared:%=$(BUILD)/shim/%.o)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pie -Wl,-z,relro,-z,now -o $@ $^ -Wl,--no-as-needed -lssl -lcrypto -ldl

$(BUILD)/unit/%: tests/unit/%.c $(core:%=$(BUILD)/shim/%.o) $(in_unit:%=$(BUILD)/shim/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(common) $(layers) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o,$^) -lpthread -Wl,--as-needed -lcrypto

$(BUILD)/programs/%: tests/programs/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -MMD -MP -O1 -g -o $@ $< -lssl -lcrypto -lpthread -ldl

# Clients of other TLS libraries; one is an OpenSSL that lies within the program.
stack_libraries = -l$*
$(BUILD)/stacks/mbedtls: stack_libraries := -lmbedtls -lmbedx509 -lmbedcrypto
$(BUILD)/stacks/%: tests/stacks/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -O1 -g -o $@ $< $(stack_libraries)
$(BUILD)/stacks/within: tests/paths/connect.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -o $@ $< -l:libssl.a -l:libcrypto.a -lpthread -ldl

# One that finds OpenSSL by itself is linked with none.
$(BUILD)/paths/%: tests/paths/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -MMD -MP -O1 -g -o $@ $< -Wl,--as-needed -lssl -lcrypto -lpthread -ldl -lanl -lresolv

# The same for GnuTLS.
$(BUILD)/gnutls/%: tests/gnutls/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -MMD -MP -O1 -g -o $@ $< -Wl,--as-needed -lgnutls -lpthread -ldl

# A musl system: Debian's own libssl, libcrypto and libgnutls (or the first two from MUSL_OPENSSL), with what they need of glibc; a compiler, and the programs.
$(BUILD)/musl/cc: tests/musl/system tests/musl/compat.c
	@mkdir -p $(@D)
	$(Q)tests/musl/system $(abspath $(@D)) $(MUSL_OPENSSL)

$(BUILD)/musl/%: tests/%.c $(BUILD)/musl/cc
	@mkdir -p $(@D)
	$(Q)$(BUILD)/musl/cc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -MMD -MP -O1 -g -o $@ $< -Wl,--as-needed -lssl -lcrypto -lgnutls

# The same with OpenSSL within them, whole, and its functions exported, as in Node.js. Other libraries are for dlsym and RTLD_NEXT.
crypto_needs = $$(ldd "$$(ldconfig -p | sed -n 's/.*libcrypto\.so\..* => //p' | sort | tail -n 1)" | grep -oE '/[^ ]*lib(z|zstd|brotli[a-z]*)\.so[^ ]*')
$(BUILD)/inside/%: tests/paths/%.c
	@mkdir -p $(@D)
	$(Q)PATH="$$PATH:/sbin" && $(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -MMD -MP -O1 -s -rdynamic -o $@ $< \
		-Wl,--whole-archive -l:libssl.a -l:libcrypto.a -Wl,--no-whole-archive $(crypto_needs) -lpthread -ldl -lanl -lresolv

$(BUILD)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -O2 -g -o $@ $< -Wl,--as-needed -lssl -lcrypto -lgnutls -lpthread

$(BUILD)/bench/pins: bench/pins.c $(core:%=$(BUILD)/shim/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(common) $(layers) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o,$^)

$(BUILD)/bench/empty.so:
	@mkdir -p $(@D)
	$(Q)echo | $(CC) -shared -x c -o $@ -

# With the sources of the shim themselves, so that they are instrumented.
fuzzer = clang -std=gnu11 -D_GNU_SOURCE -DPINSHIM_VERSION='"$(VERSION)"' $(in_openssl) -Ishim/gnutls -Icmd -Icmd/examine -Wall -Wextra -Werror -MMD -MP -O1 -g \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@
fuzzed := $(patsubst %,$(BUILD)/fuzzed/%.o,$(core) core/dns core/proxy_request)
$(BUILD)/fuzzed/%.o: shim/%.c
	@mkdir -p $(@D)
	$(Q)$(fuzzer) -c $<

# These judge and decode with both libraries.
$(BUILD)/fuzz/chain $(BUILD)/fuzz/client: also = cmd/linked.c
$(BUILD)/fuzz/chain $(BUILD)/fuzz/client: cmd/linked.c $(patsubst %,$(BUILD)/fuzzed/%.o,openssl/certs openssl/client_decode gnutls/certs gnutls/client_decode)
$(BUILD)/fuzz/%: tests/fuzz/%.c $(fuzzed)
	@mkdir -p $(@D)
	$(Q)$(fuzzer) $< $(also) $(filter %.o,$^) -Wl,--as-needed -lssl -lcrypto -lgnutls

unit := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*.c))
programs := $(patsubst tests/programs/%.c,$(BUILD)/programs/%,$(wildcard tests/programs/*.c))
paths := $(patsubst tests/paths/%.c,$(BUILD)/paths/%,$(wildcard tests/paths/*.c)) \
	$(patsubst tests/gnutls/%.c,$(BUILD)/gnutls/%,$(wildcard tests/gnutls/*.c))
musl := $(patsubst tests/%.c,$(BUILD)/musl/%,$(wildcard tests/paths/*.c) $(addprefix tests/programs/,again.c raw.c sandbox.c says.c starts.c) $(wildcard tests/gnutls/*.c))
inside := $(filter-out %/by_dlsym %/foreign %/next %/too_old,$(patsubst tests/paths/%.c,$(BUILD)/inside/%,$(wildcard tests/paths/*.c)))
stacks := $(patsubst tests/stacks/%.c,$(BUILD)/stacks/%,$(wildcard tests/stacks/*.c)) $(BUILD)/stacks/within
bench := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c)) $(BUILD)/bench/empty.so
fuzz := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_SECONDS ?= 600
# Tests of what does not need the object.
without_object := tests/command_pin.bats tests/guide.bats tests/completion.bats tests/manual.bats tests/fleet.bats tests/packages.bats

# Of a build that installs what it needs first; unless the user has said how many.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

## demo        show the main job on real clients and servers
demo: tools-for-demo
	$(Q)$(MAKE) --no-print-directory $(parallel) all
	$(Q)demo/demo

## test        run the unit tests and the tests with real clients and servers
test: tools
	$(Q)$(MAKE) --no-print-directory $(parallel) all $(unit) programs musl stacks servers runtimes
	$(Q)tests/run

## unit        the unit tests alone
unit: $(unit)
	$(Q)for program in $^; do $$program || exit; done

## quick       half of the tests, without those that need PHP, Apache, Node.js or npm
quick: tools-for-quick
	$(Q)$(MAKE) --no-print-directory $(parallel) all $(unit) programs
	$(Q)tests/run --quick

## bare        run make demo, test and deb on a minimal Debian 12, and again in a chroot; needs root; takes half an hour
bare:
	$(Q)tests/bare

## hollow      check that every test with real clients fails with an empty library
hollow: tools
	$(Q)$(MAKE) --no-print-directory all programs servers
	$(Q)echo | $(CC) -shared -x c -o $(BUILD)/hollow.so -
	$(Q)SHIM_SO=$(CURDIR)/$(BUILD)/hollow.so tests/run $(filter-out $(without_object),$(wildcard tests/*.bats)) | tee $(BUILD)/hollow.log | tail -n 1
	$(Q)if grep '^ok' $(BUILD)/hollow.log; then exit 1; fi

## matrix      run path programs and clients in whole systems with OpenSSL 1.1.1 to 4.0, and on arm64, and six releases of Node.js; takes an hour
matrix: tools
	$(Q)tests/matrix

## suites      run the test suites of OpenSSL and of six programs that use it, with the shim and without: build/suites; takes hours
suites:
	$(Q)tests/suites

## clients     run more than a hundred programs that use OpenSSL or GnuTLS against a good server and an impostor: docs/clients.md
clients:
	$(Q)tests/tools clients
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/clients/run --write

## doctor-table  write docs/doctor.md: doctor's verdicts for more than eighty programs, compared with their real connections
doctor-table:
	$(Q)tests/tools doctor
	$(Q)$(MAKE) --no-print-directory all stacks musl runtimes
	$(Q)tests/doctor

## bench       run the benchmarks, with the shim and without: CSV and plots in build/results; takes a quarter of an hour
bench: tools
	$(Q)tests/tools bench
	$(Q)bench/run

bench-programs: $(bench)

## fuzz        run libFuzzer on the parser, the matcher, log lines and others, FUZZ_SECONDS=600 each; findings are kept in build/fuzz
fuzz: tools-for-checks $(fuzz:%=$(BUILD)/fuzz/%)
	$(Q)for name in $(fuzz); do \
		mkdir -p $(BUILD)/fuzz/found-$$name; \
		$(BUILD)/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 -verbosity=1 -dict=tests/fuzz/pins.dict \
			-artifact_prefix=$(BUILD)/fuzz/$$name- $(BUILD)/fuzz/found-$$name tests/fuzz/corpus/$$name 2>$(BUILD)/fuzz/$$name.log \
			|| { tail -n 60 $(BUILD)/fuzz/$$name.log; exit 1; }; \
		echo "$$name: $$(sed -n 's/^stat::number_of_executed_units: //p' $(BUILD)/fuzz/$$name.log) inputs," \
			"$$(grep -o 'cov: .* corp: [0-9]*' $(BUILD)/fuzz/$$name.log | tail -n 1)"; \
	done

## soak        run long tests: handshakes, connections, broken certificates, threads and clients under sanitizers; takes minutes
soak: tools-for-checks
	$(Q)$(MAKE) --no-print-directory all programs
	$(Q)tests/soak

## deb         the Debian package, in build/deb
deb:
	$(Q)tests/tools deb
	$(Q)packaging/deb

## rpm         the RPM package, in build/rpm
rpm:
	$(Q)tests/tools deb
	$(Q)packaging/rpm/build

## picture     the pictures in the documents, from a run of the demo: docs/demo.svg, docs/refusal.svg
picture: tools-for-demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)demo/picture

## fleet       test the package, the container image, the whole host and the Kubernetes component, in whole systems; needs root
fleet:
	$(Q)tests/tools fleet
	$(Q)$(MAKE) --no-print-directory all programs musl
	$(Q)tests/run tests/fleet.bats

## check       linters, both compilers, and the sanitizers
check: tools
	$(Q)tests/check

# What the tests run: with pins files and servers, and to get round the pins.
programs: $(programs) paths inside
# Clients of other TLS libraries.
stacks: $(stacks)
paths: $(paths)
# The same for musl.
musl: $(musl)
inside: $(inside)

# A server of the tests that comes from the npm registry.
servers: $(BUILD)/fastify/server.js
$(BUILD)/fastify/server.js: $(wildcard tests/servers/fastify/*)
	@mkdir -p $(@D)
	@echo "fetching Fastify, a server for the tests, and what it needs from the npm registry: $$(grep -c 'node_modules/' $(<D)/package-lock.json) packages"
	$(Q)cp tests/servers/fastify/package*.json $(@D)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund
	$(Q)cp tests/servers/fastify/server.js $@

# Programs of the npm registry that have a TLS library within.
runtimes: $(BUILD)/runtimes/fetched
$(BUILD)/runtimes/fetched: $(wildcard tests/stacks/runtimes/*)
	@mkdir -p $(@D)
	@echo 'fetching Node.js, Bun and Deno, for the tests, from the npm registry: 150 MB, and 360 MB on the disk'
	$(Q)cp tests/stacks/runtimes/package*.json $(@D)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund
	$(Q)touch $@

# Further releases of Node.js, for make matrix.
nodes: $(BUILD)/nodes/fetched
$(BUILD)/nodes/fetched: $(wildcard tests/stacks/nodes/*)
	@mkdir -p $(@D)
	@echo 'fetching four releases of Node.js, for the tests, from the npm registry: 170 MB, and 400 MB on the disk'
	$(Q)cp tests/stacks/nodes/package*.json $(@D)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund
	$(Q)touch $@

tools-for-checks:
	$(Q)tests/tools check

tools-for-demo:
	$(Q)tests/tools demo

tools-for-quick:
	$(Q)tests/tools quick

# What the build and the tests need, installed through apt where it is missing and this user may.
tools:
	$(Q)tests/tools

# ld.so goes on without a preloaded object that it does not find, and what is new in a directory it finds through its cache. The cache is root's.
refresh = PATH="$$PATH:/usr/sbin:/sbin" ldconfig 2>/dev/null || true
found = LD_PRELOAD=libpinshim.so grep -qsF "$$(readlink -f $(LIBDIR))/libpinshim.so" /proc/self/maps 2>/dev/null

documents := README.md LICENSE CHANGELOG.md SECURITY.md pins.example
dropins = $(DOCDIR)/examples/systemd

## install     put everything below $(DESTDIR)$(PREFIX)
install: all
	install -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(dropins) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) \
		$(addprefix $(DESTDIR)$(MANDIR)/man,1 5 8)
	install -m 0755 $(BUILD)/libpinshim.so $(DESTDIR)$(LIBDIR)/libpinshim.so
	install -m 0755 $(BUILD)/libpinshim-prove.so $(DESTDIR)$(LIBDIR)/libpinshim-prove.so
	install -m 0755 $(BUILD)/pinshim $(DESTDIR)$(BINDIR)/pinshim
	install -m 0644 $(documents) $(DESTDIR)$(DOCDIR)
	install -m 0644 $(wildcard docs/*.md docs/*.svg) $(DESTDIR)$(DOCDIR)/docs
	sed 's|/usr/lib/x86_64-linux-gnu|$(LIBDIR)|; /^# The paths/d' packaging/systemd/pinshim.conf >$(DESTDIR)$(dropins)/pinshim.conf
	chmod 0644 $(DESTDIR)$(dropins)/pinshim.conf
	install -m 0644 man/pinshim.1 $(DESTDIR)$(MANDIR)/man1
	install -m 0644 man/pins.5 $(DESTDIR)$(MANDIR)/man5
	install -m 0644 man/libpinshim.8 $(DESTDIR)$(MANDIR)/man8
	install -m 0644 completion/pinshim $(DESTDIR)$(BASHDIR)
	install -m 0644 completion/_pinshim $(DESTDIR)$(ZSHDIR)
	$(Q)$(if $(DESTDIR),,$(refresh); $(found) || echo 'ld.so does not find it by its name alone: write LD_PRELOAD=$(LIBDIR)/libpinshim.so')

## uninstall   remove what install put there
uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libpinshim.so $(DESTDIR)$(LIBDIR)/libpinshim-prove.so $(DESTDIR)$(BINDIR)/pinshim $(DESTDIR)$(BASHDIR)/pinshim $(DESTDIR)$(ZSHDIR)/_pinshim
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/,man1/pinshim.1 man5/pins.5 man8/libpinshim.8)
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(documents) $(wildcard docs/*.md docs/*.svg))
	rm -f $(DESTDIR)$(dropins)/pinshim.conf
	-rmdir $(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(dropins) $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR)
	$(Q)$(if $(DESTDIR),,$(refresh))

## clean       remove the build directory
clean:
	rm -rf $(BUILD)

## help        this list; V=1 shows the commands
help:
	@echo 'all         build/libpinshim.so and build/pinshim'
	@sed -n 's/^## //p' Makefile

.PHONY: unit inside nodes stacks musl always all demo test quick bare hollow matrix clients suites doctor-table bench bench-programs fuzz soak deb rpm picture fleet check programs paths servers runtimes tools tools-for-checks tools-for-demo tools-for-quick install uninstall clean help
.SECONDARY:
-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
