import { bigLettersShell } from './big-letters.ts';

/**
 * A shell script as it is written: only `\${` and a backslash before a backtick are undone, and the escapes that the
 * build makes of characters that are not ASCII.
 */
const sh = (text: TemplateStringsArray): string =>
  (text.raw[0] ?? '')
    .replaceAll(/\\(\$|`)/g, '$1')
    .replaceAll(/\\u([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))
    .trimStart();

/**
 * The tiny guest, as files of its initramfs (everything below / that we wrote ourselves).
 *
 * `/init` loads the modules, then keeps two things alive: `desktop`, which stands for the display manager (the screen,
 * its login prompt, the session), and `agent`, which speaks VM-Operator's line protocol on the virtio port. They share
 * `/run/seat` (who is on the seat: `USER HOW`, HOW being `agent` or `hand`) and `/run/next` (whom the desktop shall log
 * in when it restarts). What tests need to know:
 * - the serial port gets one line per event (`seat: alice agent`) and every line typed on the screen (`typed: …`);
 * - the agent answers user `nobody` with 451 and takes 5 s for user `slowpoke`;
 * - `poweroff` and `reboot`, typed in a session, are the guest's own.
 */

const INIT = sh`
#!/bin/busybox sh
# Process 1 of the guest.
export PATH=/bin HOME=/root TERM=linux
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts && mount -t devpts none /dev/pts
exec 3>/dev/ttyS0

host=$(sed -n 's/.*vmop\.host=\([a-z0-9.-]*\).*/\1/p' /proc/cmdline)
hostname "\${host:-desktop}"

while read -r module; do
  insmod "/lib/modules/$module" || echo "error: module $module" >&3
done < /lib/modules/order
chmod 666 /dev/ttyS0 /dev/null /dev/tty
mkfifo -m 622 /run/power

# CPUs that are plugged in while the guest runs come up offline.
uevent /lib/vmop/hotplug &
# The first event of the ACPI power button, whatever it is, means: power off.
button=$(sed -n '/Power Button/,/^$/s/.*Handlers=.*\(event[0-9]*\).*/\1/p' /proc/bus/input/devices | head -n 1)
[ -n "$button" ] && { head -c 1 "/dev/input/$button" > /dev/null && echo poweroff > /run/power; } &

# Whoever writes here decides how the machine ends. Opened for both, so that neither side waits for the other.
{
  exec 4<> /run/power
  until read -r how <&4; do :; done
  echo "power: $how" >&3
  [ "$how" = reboot ] && reboot -f
  poweroff -f
} &

keep() { while :; do "$@"; sleep 0.2; done; }
keep /lib/vmop/agent &
# In the foreground, because background jobs ignore Ctrl-C. Opened anew each time, because a terminal is hung up when
# the leader of its session ends.
keep setsid sh -c 'exec /lib/vmop/desktop < /dev/tty1 > /dev/tty1 2>&1'
`;

const HOTPLUG = sh`
#!/bin/sh
# Called for every kernel event.
[ "$SUBSYSTEM" = cpu ] && [ "$ACTION" = add ] && echo 1 > "/sys$DEVPATH/online"
exit 0
`;

const USERS = sh`
# Sourced: the users of this machine.

# A name that is safe to log in: like the one the host checks, because the host is not to be trusted either.
usable() {
  case $1 in
    root | '' | [!a-z_]* | *[!a-z0-9_-]*) return 1 ;;
  esac
  [ \${#1} -le 32 ]
}

create() {
  grep -q "^$1:" /etc/passwd && return
  id=$((1000 + $(wc -l < /etc/passwd)))
  echo "$1:x:$id:$id::/home/$1:/bin/sh" >> /etc/passwd
  echo "$1:x:$id:" >> /etc/group
  mkdir -p "/home/$1" && chown "$id:$id" "/home/$1" && chmod 700 "/home/$1"
}
`;

const AGENT = sh`
#!/bin/sh
# Speaks VM-Operator's agent protocol: reads "login USER" and "logout", answers with lines that start with a code.
. /lib/vmop/users

for name in /sys/class/virtio-ports/*/name; do
  [ "$(cat "$name" 2> /dev/null)" = org.jdrupes.vmop_agent.0 ] && port=\${name%/name}
done
[ -n "$port" ] || { echo 'agent: no port' > /dev/ttyS0; exec sleep 3600; }
exec 5<> "/dev/\${port##*/}"

say() { echo "$1" >&5; }
seat() { cat /run/seat 2> /dev/null; }

# Ends whatever is on the seat and starts the desktop anew, for the user in $1 or with its login prompt.
restart() {
  [ -n "$1" ] && echo "$1" > /run/next
  : > /run/seat
  kill -KILL "-$(cat /run/desktop.pid)"
}

# The desktop says on /run/seat that a session is there.
arrived() {
  for try in $(seq 50); do
    case $(seat) in "$1 "*) return 0 ;; esac
    sleep 0.2
  done
  return 1
}

login() {
  [ "$1" = root ] && { say '504 root is not logged in'; return; }
  { usable "$1" && [ "$1" != nobody ]; } || { say "451 cannot log in $1"; return; }
  case $(seat) in "$1 "*) say "201 $1 is logged in already"; return ;; esac
  [ "$1" = slowpoke ] && sleep 5
  create "$1" || { say "451 cannot create user $1"; return; }
  say '102 restarting the desktop'
  restart "$1"
  # A desktop that was only just coming up can miss the first one.
  if arrived "$1" || { restart "$1"; arrived "$1"; }; then say "201 $1 is logged in"; else say "451 no session for $1"; fi
}

describe() {
  kernel=$(uname -r)
  say "110 os {\"id\":\"vmop-guest\",\"name\":\"vmop tiny guest\",\"pretty-name\":\"vmop tiny guest (Linux $kernel)\",\"version-id\":\"1\",\"kernel-release\":\"$kernel\",\"machine\":\"$(uname -m)\"}"
}

describe
say '220 the agent of the vmop tiny guest'
# Reading ends when the host lets go of the port; writing waits until a host is there again.
while :; do
  while IFS= read -r line <&5; do
    echo "agent: $line" > /dev/ttyS0
    case $line in
      'login '*) login "\${line#login }" ;;
      logout) restart; say '202 nobody is logged in' ;;
      *) say "500 not understood: $line" ;;
    esac
  done
  sleep 0.2
  describe
done
`;

const SCREEN = sh`
# Sourced: draws the frame of the screen. Needs $how and $user (both empty at the login prompt).
. /lib/vmop/letters

palette() {
  printf '\033]P%s' 00f172a 1f87171 2134e3a 3fbbf24 41e293b 52e2a5e 62dd4bf 7cbd5e1
  printf '\033]P%s' 864748b 9fca5a5 a4ade80 bfde68a c93c5fd dc4b5fd e5eead4 fffffff
}

at() { printf '\033[%s;%sH' "$1" "$2"; }
# Text in big letters, at row $1 and column $2; longer than the screen is wide it ends early. Sets $width.
big() {
  r1='' r2='' r3='' width=0 rest=$3
  while [ -n "$rest" ]; do
    letter "\${rest%"\${rest#?}"}"
    [ $((width + lw)) -gt 74 ] && break
    width=$((width + lw)) r1=$r1$l1 r2=$r2$l2 r3=$r3$l3 rest=\${rest#?}
  done
  printf '\033[%s;%sH%s\033[%s;%sH%s\033[%s;%sH%s' "$1" "$2" "$r1" $(($1 + 1)) "$2" "$r2" $(($1 + 2)) "$2" "$r3"
}
bar() { at "$1" 1; printf '\033[0;97;44m%80s' ''; at "$1" 3; }

# What changes while nobody does anything: the time, what is plugged in.
status() {
  kernel="Linux $(uname -r)" cpus="$(nproc) CPUs" memory="$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MB"
  printf '\0337\033[0;96;44m\033[1;60H%20s\033[0;37;44m\033[25;3H%-76s\0338' \
    "$(date -u '+%a %d %b  %H:%M')  " "$kernel   $cpus   $memory"
}

rule() {
  printf '\033[13;3H\033[0;90m%s' '────────────────────────────────────────────────────────────────────────────'
  printf '\033[13;6H %s ' "$1"
}

# Everything but the text below, which is a region that scrolls on its own (rows 14 to 23).
screen() {
  printf '\0337\033[r'
  bar 1; printf '\033[96mvmop\033[97m desktop'
  bar 25
  printf '\033[0;97m'; big 3 3 "$(hostname)"
  if [ -n "$user" ]; then card=42 edge='\033[92;42m'; else card=45 edge='\033[95;45m'; fi
  for row in 7 8 9 10 11; do printf "\033[0m\033[$row;3H$edge▌%75s" ''; done
  if [ -n "$user" ]; then
    printf "$edge\033[97m"; big 8 6 "$user"
    if [ $((width + \${#user})) -le 40 ]; then at 10 $((7 + width)); else at 11 6; fi
    case $how in agent) by='by the agent' ;; *) by='at this screen' ;; esac
    printf "$edge%s is logged in, %s" "$user" "$by"
    rule "a shell of $user: exit ends the session, poweroff the machine"
  else
    at 8 6; printf "$edge\033[97mNobody is logged in"
    at 10 6; printf "$edge%s" 'Type a user name below, or let the agent log somebody in.'
    rule 'log in'
  fi
  printf '\033[0m\033[14;23r\0338'
  status
}

# Begins with an empty text region.
fresh_screen() {
  printf '\033[0m\033[r\033[2J'
  screen
  at 15 1
}
`;

const DESKTOP = sh`
#!/bin/sh
# The display manager: one session after another on this terminal. The agent ends it by killing its process group.
. /lib/vmop/users
. /lib/vmop/screen
# Caught, not ignored: programs of a session shall be interrupted.
trap : INT QUIT
trap '' TSTP
echo $$ > /run/desktop.pid
stty sane
palette
(while sleep $((60 - $(date +%s) % 60)); do status; done) &

seat() { echo "$*" > /run/seat; echo "seat: $*" > /dev/ttyS0; }

# Sets $user to a name that somebody types.
ask() {
  while :; do
    printf '\033[0;97m%s login: \033[96m' "$(hostname)"
    IFS= read -r name || { sleep 0.2; printf '\n'; continue; }
    echo "typed: $name" > /dev/ttyS0
    [ -z "$name" ] && continue
    usable "$name" && create "$name" && { user=$name; return; }
    printf '\033[91mthis name cannot log in\n'
  done
}

user=$(cat /run/next 2> /dev/null) how=agent
rm -f /run/next
while :; do
  if [ -z "$user" ]; then
    how=hand
    fresh_screen
    seat nobody
    ask
  fi
  fresh_screen
  seat "$user $how"
  how=$how user=$user su "$user" -s /lib/vmop/session
  user=''
done
`;

const SESSION = sh`
#!/bin/sh
# A shell of the user, line by line, so that what is typed can be shown on the serial port.
. /lib/vmop/screen
trap : INT QUIT
cd "$HOME" || exit
while printf '\033[0;92m%s\033[90m@%s\033[97m$ ' "$user" "$(hostname)"; do
  IFS= read -r line
  code=$?
  [ $code -gt 128 ] && { printf '\n'; continue; }
  [ $code -ne 0 ] && break
  echo "typed: $line" > /dev/ttyS0
  printf '\033[0m'
  case $line in
    exit | logout) break ;;
    poweroff | reboot) echo "$line" > /run/power ;;
    clear) fresh_screen ;;
    'cd '*) cd "\${line#cd }" ;;
    ?*)
      (trap - INT QUIT; eval "$line")
      [ $? -gt 128 ] && printf '\n'
      screen
      ;;
  esac
done
`;

/** Our own files of the guest: path without a leading slash, and content; all are executable. */
export const GUEST_FILES: Readonly<Record<string, string>> = {
  init: INIT,
  'lib/vmop/agent': AGENT,
  'lib/vmop/desktop': DESKTOP,
  'lib/vmop/hotplug': HOTPLUG,
  'lib/vmop/letters': bigLettersShell(),
  'lib/vmop/screen': SCREEN,
  'lib/vmop/session': SESSION,
  'lib/vmop/users': USERS,
};

/** Modules in the order in which they are loaded; a kernel may have some of them built in. */
export const GUEST_MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_console',
  'virtio_balloon',
  'evdev',
  'button',
];

/** Kernel parameters that do not depend on the machine. */
export const GUEST_KERNEL_PARAMETERS =
  'console=ttyS0 console=tty0 quiet loglevel=3 panic=-1 mitigations=off nokaslr random.trust_cpu=on';
