#!/usr/bin/env bash
# houmao.sh [ROUNDS]: launch, list, state, prompt and stop, by Houmao 2.4.0 and by troop, taking turns in one run with the
# same registry, tmux server and fake program. Prints a Markdown table. Wants target/release/troop and scripts/fetch-real.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
troop=${TROOP:-$PWD/target/release/troop}
houmao=${TROOP_TEST_CACHE:-$PWD/.cache}/real/houmao/bin
fakes=$PWD/tests/support/fakebin
[ -x "$troop" ] || { echo "houmao.sh: $troop is missing; cargo build --release" >&2; exit 1; }
[ -x "$houmao/houmao-mgr" ] || { echo "houmao.sh: $houmao/houmao-mgr is missing; run scripts/fetch-real" >&2; exit 1; }

world=$(mktemp -d /tmp/troop-houmao.XXXXXX)
mount=$world/mnt
mkdir -m 700 "$world"/{home,tmux,work,mnt}
# Houmao starts programs in a login shell, whose profile resets PATH.
echo "export PATH='$fakes':\$PATH" >"$world/home/.bash_profile"
export HOME=$world/home TMUX_TMPDIR=$world/tmux HOUMAO_GLOBAL_REGISTRY_DIR=$world/registry TROOP_HOME=$world/troop
export PATH=$fakes:$houmao:$PATH SHELL=/bin/bash LC_ALL=C.UTF-8 TERM=xterm-256color PYTHONWARNINGS=ignore FAKE_TURN_SECONDS=0.3
unset TMUX TMUX_PANE TROOP_TMUX_SOCKET
cd "$world/work"

end() {
    "$troop" umount "$mount" 2>/dev/null || true
    tmux kill-server 2>/dev/null || true
    rm -rf "$world"
}
trap end EXIT

# timed WHAT COMMAND...: runs it, and keeps how many milliseconds it took.
timed() {
    local what=$1 begin end
    shift
    begin=$EPOCHREALTIME
    "$@" >"$world/said" 2>&1 || { echo "houmao.sh: $* failed:" >&2; cat "$world/said" >&2; exit 1; }
    end=$EPOCHREALTIME
    echo "$(((${end/./} - ${begin/./})))" >>"$world/$what"
}
# The median in milliseconds.
median() { sort -n "$world/$1" | awk '{ all[NR] = $1 } END { printf "%.1f", all[int((NR + 1) / 2)] / 1000 }'; }

quietly() { "$@" >"$world/said" 2>&1 || { cat "$world/said" >&2; exit 1; }; }
ready() { quietly "$troop" wait "$1" --until ready --timeout 30; }
write() { printf '%s\n' "$2" >"$1"; }

quietly houmao-mgr project init
quietly houmao-mgr project specialist create --name coder --tool claude --system-prompt fake --api-key sk-fake --yes
quietly "$troop" mount --detach "$mount"

for round in $(seq "$rounds"); do
    timed houmao.launch houmao-mgr project agents launch --specialist coder --name "h$round" --no-gateway
    timed troop.launch "$troop" launch "t$round" --tool claude
    ready "h$round"
    ready "t$round"
done
# A command line that comes this soon after a launch waits until the program counts as started.
sleep 31
for round in $(seq "$rounds"); do
    timed houmao.list houmao-mgr agents global list
    timed troop.list "$troop" list
    timed mount.list cat "$mount/index"
    timed houmao.state houmao-mgr agents single --agent-name "h$round" state
    timed troop.state "$troop" explain "t$round"
    timed mount.state cat "$mount/agents/t$round/state.json"
    # Houmao's says that keys were sent, troop's that the turn began.
    timed houmao.prompt houmao-mgr agents single --agent-name "h$round" prompt --prompt hello
    timed troop.prompt "$troop" prompt "t$round" hello
    sleep 1
    ready "t$round"
    timed mount.prompt write "$mount/agents/t$round/prompt" hello
    sleep 1
    timed houmao.stop houmao-mgr agents single --agent-name "h$round" stop
    timed troop.stop "$troop" stop "t$round"
done

echo "median milliseconds of $rounds rounds, taking turns; the program in the terminal is a fake claude"
echo
echo '| what | Houmao 2.4.0 | troop | ratio | a file of the mount | ratio |'
echo '|---|---:|---:|---:|---:|---:|'
for what in launch list state prompt stop; do
    theirs=$(median "houmao.$what") ours=$(median "troop.$what")
    [ -e "$world/mount.$what" ] && file=$(median "mount.$what") || file=
    awk -v what="$what" -v a="$theirs" -v b="$ours" -v c="$file" 'BEGIN {
        printf "| %s | %.0f | %.1f | %.0f | %s | %s |\n", what, a, b, a / b, c, c ? sprintf("%.0f", a / c) : "" }'
done
