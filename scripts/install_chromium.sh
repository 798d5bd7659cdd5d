#!/usr/bin/env bash
# Chromium for the tests in a browser: nothing to do where there is one, Debian's package where this may install it.
set -euo pipefail
if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "install_chromium: found no Chromium and no apt-get; install Chromium, or name it: CHROMIUM=/path/to/chromium make test-browser" >&2
  exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install_chromium: found no Chromium; install it with: sudo apt-get install chromium" >&2
  exit 2
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
apt-get install --yes --quiet --no-install-recommends chromium
