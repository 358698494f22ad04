import { FLATPAK_APP, type PlatformDescription } from './platform.ts';

const BY_DISTRIBUTION: Record<string, string> = {
  debian: 'sudo apt install virt-viewer',
  ubuntu: 'sudo apt install virt-viewer',
  fedora: 'sudo dnf install virt-viewer',
  rhel: 'sudo dnf install virt-viewer',
  centos: 'sudo dnf install virt-viewer',
  arch: 'sudo pacman -S virt-viewer',
  suse: 'sudo zypper install virt-viewer',
  opensuse: 'sudo zypper install virt-viewer',
  sles: 'sudo zypper install virt-viewer',
  alpine: 'sudo apk add virt-viewer',
  gentoo: 'sudo emerge app-emulation/virt-viewer',
  nixos: 'nix-shell -p virt-viewer',
};

/** The command that installs a viewer on this machine. */
export function viewerInstallCommand({ os, distributions }: PlatformDescription): string {
  if (os === 'darwin') return 'brew install virt-viewer';
  if (os === 'win32') return 'winget install RedHat.VirtViewer';
  // openSUSE names itself opensuse-leap or opensuse-tumbleweed.
  const names = distributions.flatMap((name) => [name, name.replace(/-.*$/, '')]);
  const known = names.map((name) => BY_DISTRIBUTION[name]).find((command) => command !== undefined);
  return known ?? `flatpak install flathub ${FLATPAK_APP}`;
}
