namespace Guestmark.Inventory.Languages;

/// <summary>Tells by the number of its type whether a file system keeps its files on a disk of the machine.</summary>
/// <remarks>
/// <c>f_type</c> of statfs(2), from linux/magic.h and the sources of file systems that are not in the kernel. What is not named here is not
/// local: of a network (NFS, CIFS, Ceph, 9P), of another program (FUSE), the kernel's own (proc, sysfs, cgroup, autofs), or a medium.
/// </remarks>
static class LocalFileSystem
{
    const uint Tmpfs = 0x01021994;
    const uint Ramfs = 0x858458f6;
    const uint Squashfs = 0x73717368;
    const uint Erofs = 0xe0f5e1e2;

    /// <summary>Whether files that stay are kept in it.</summary>
    public static bool IsLocal(uint type) => type is
        0xef53 // ext2, ext3, ext4
        or 0x58465342 // xfs
        or 0x9123683e // btrfs
        or 0xf2f52010 // f2fs
        or 0x2fc12fc1 // zfs
        or 0xca451a4e // bcachefs
        or 0x794c7630 // overlay
        or 0x52654973 // reiserfs
        or 0x3153464a // jfs
        or 0x3434; // nilfs2

    /// <summary>Whether one that is mounted in a machine is a part of what is installed on it.</summary>
    /// <param name="rootType">The type of the machine's root. One that lives in memory or is one file is a part of a root of its own kind only.</param>
    public static bool IsPartOf(uint rootType, uint type) => IsLocal(type) || (type == rootType && type is Tmpfs or Ramfs or Squashfs or Erofs);
}
