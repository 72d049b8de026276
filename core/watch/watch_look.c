#include "watch/watch_look.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* linux/magic.h has only some of these; which ones depends on its version. */
enum {
  TYPE_NFS = 0x6969,
  TYPE_SMB = 0x517b,
  TYPE_9P = 0x01021997, /* WSL and virtual machines use it. */
  TYPE_CEPH = 0x00c36400,
  TYPE_LUSTRE = 0x0bd00bd0,
  TYPE_GFS2 = 0x01161970,
  TYPE_GPFS = 0x47504653,
  TYPE_OCFS2 = 0x7461636f,
  TYPE_AFS = 0x5346414f, /* OpenAFS */
  TYPE_KAFS = 0x6b414653,
  TYPE_CODA = 0x73757245,
  TYPE_FUSE = 0x65735546, /* sshfs and virtiofs have it. */
  TYPE_VBOXSF = 0x786f4256,
  TYPE_PARALLELS = 0x7c7c6673
};
static const uint32_t TYPE_CIFS = 0xff534d42;
static const uint32_t TYPE_SMB2 = 0xfe534d42;
static const uint32_t TYPE_VMWARE = 0xbacbacbc;

bool watch_look_is_shared_type(uint32_t type) {
  switch (type) {
  case TYPE_NFS:
  case TYPE_SMB:
  case TYPE_9P:
  case TYPE_CEPH:
  case TYPE_LUSTRE:
  case TYPE_GFS2:
  case TYPE_GPFS:
  case TYPE_OCFS2:
  case TYPE_AFS:
  case TYPE_KAFS:
  case TYPE_CODA:
  case TYPE_FUSE:
  case TYPE_VBOXSF:
  case TYPE_PARALLELS: return true;
  default: return type == TYPE_CIFS || type == TYPE_SMB2 || type == TYPE_VMWARE;
  }
}

bool watch_look_is_shared(const char *folder) {
  struct statfs about;
  return statfs(folder, &about) == 0 && watch_look_is_shared_type((uint32_t)about.f_type);
}

bool watch_look_has_other_ways(const char *path) {
  struct statx about;
  if (statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_NLINK, &about) != 0) return false;
  if (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) return true;
  return S_ISREG(about.stx_mode) && about.stx_nlink > 1;
}

void watch_look_take(const char *path, struct watch_look *look) {
  struct stat about;
  *look = (struct watch_look){0};
  if (stat(path, &about) != 0) return;
  *look = (struct watch_look){.exists = true,
                              .device = about.st_dev,
                              .inode = about.st_ino,
                              .size = about.st_size,
                              .modified = about.st_mtim,
                              .changed = about.st_ctim};
}

static bool is_same_time(const struct timespec *one, const struct timespec *other) {
  return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

bool watch_look_equal(const struct watch_look *one, const struct watch_look *other) {
  return one->exists == other->exists && one->device == other->device &&
         one->inode == other->inode && one->size == other->size &&
         is_same_time(&one->modified, &other->modified) &&
         is_same_time(&one->changed, &other->changed);
}
