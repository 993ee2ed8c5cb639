# Everything for arm64 on another machine: cmake --toolchain packaging/arm64.cmake -DPS_SYSROOT=DIR …
#
# DIR is a Debian arm64 tree with the libraries' development packages, as packaging/arm64.sh makes it. Programs that the build
# runs, and tests, go through qemu's user emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PS_SYSROOT)
set(CMAKE_SYSROOT ${PS_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${PS_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${PS_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${PS_SYSROOT}/usr/share/pkgconfig)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-L;${PS_SYSROOT})
