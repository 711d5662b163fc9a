# Compiler options for every target. Warnings are errors; presets choose sanitizers and hardening.
set(MS_WARNINGS
  -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla
  -Wswitch-enum -Wformat=2 -fno-common -fno-strict-aliasing)
add_compile_options(${MS_WARNINGS})

set(MS_HARDEN_COMPILE -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection)
set(MS_HARDEN_LINK -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

if(MS_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=address,undefined)
endif()

if(MS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(MS_COVERAGE)
  add_compile_options(--coverage -g -O0)
  add_link_options(--coverage)
endif()

if(MS_HARDEN)
  add_compile_options(${MS_HARDEN_COMPILE})
  add_link_options(${MS_HARDEN_LINK})
endif()
