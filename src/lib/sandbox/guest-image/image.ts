/** A Linux that QEMU boots directly, with VM-Operator's agent in it. */
export interface GuestImage {
  /** Path of the kernel. */
  kernel: string;
  /** Path of the initial file system. */
  initramfs: string;
  /** The kernel's parameters, without those of one machine. */
  parameters: string;
  /** For a person to read: what it was built from. */
  description: string;
}
