#!/bin/sh
# The standard handler of tests/contract/contract.py, forked for every call by the watchdog.
case "$Http_Path" in
/echo) exec cat ;;
/hold)
    while [ ! -e "${Http_Query#file=}" ]; do sleep 0.01; done
    echo held
    ;;
/fail) exit 1 ;;
esac
