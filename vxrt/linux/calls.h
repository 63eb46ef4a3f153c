/*
 * The system calls of i386 Linux: number, name, and the handler where there is
 * one. CALL rows are served by vxl_HANDLER; NONE rows are answered with
 * ENOSYS and counted. docs/abi.md says what each handler does.
 */
#ifndef VXRT_LINUX_CALLS_H
#define VXRT_LINUX_CALLS_H

#include "vxrt/linux/proc.h"

/* CALL(number, name, handler) NONE(number, name) */
#define VXL_CALLS(CALL, NONE) \
    NONE(0, restart_syscall) \
    CALL(1, exit, exit) \
    CALL(2, fork, fork) \
    CALL(3, read, read) \
    CALL(4, write, write) \
    CALL(5, open, open) \
    CALL(6, close, close) \
    CALL(7, waitpid, waitpid) \
    CALL(8, creat, creat) \
    CALL(9, link, link) \
    CALL(10, unlink, unlink) \
    CALL(11, execve, execve) \
    CALL(12, chdir, chdir) \
    CALL(13, time, time) \
    CALL(14, mknod, mknod) \
    CALL(15, chmod, chmod) \
    CALL(16, lchown, chown) \
    NONE(17, break) \
    NONE(18, oldstat) \
    CALL(19, lseek, lseek) \
    CALL(20, getpid, getpid) \
    NONE(21, mount) \
    NONE(22, umount) \
    CALL(23, setuid, setid) \
    CALL(24, getuid, getid) \
    CALL(25, stime, set_clock) \
    NONE(26, ptrace) \
    CALL(27, alarm, alarm) \
    NONE(28, oldfstat) \
    CALL(29, pause, pause) \
    CALL(30, utime, utime) \
    NONE(31, stty) \
    NONE(32, gtty) \
    CALL(33, access, access) \
    NONE(34, nice) \
    NONE(35, ftime) \
    CALL(36, sync, sync) \
    CALL(37, kill, kill) \
    CALL(38, rename, rename) \
    CALL(39, mkdir, mkdir) \
    CALL(40, rmdir, rmdir) \
    CALL(41, dup, dup) \
    CALL(42, pipe, pipe) \
    CALL(43, times, times) \
    NONE(44, prof) \
    CALL(45, brk, brk) \
    CALL(46, setgid, setid) \
    CALL(47, getgid, getid) \
    CALL(48, signal, signal) \
    CALL(49, geteuid, getid) \
    CALL(50, getegid, getid) \
    NONE(51, acct) \
    NONE(52, umount2) \
    NONE(53, lock) \
    CALL(54, ioctl, ioctl) \
    CALL(55, fcntl, fcntl64) \
    NONE(56, mpx) \
    CALL(57, setpgid, setpgid) \
    NONE(58, ulimit) \
    NONE(59, oldolduname) \
    CALL(60, umask, umask) \
    NONE(61, chroot) \
    NONE(62, ustat) \
    CALL(63, dup2, dup2) \
    CALL(64, getppid, getppid) \
    CALL(65, getpgrp, getpgrp) \
    CALL(66, setsid, setsid) \
    CALL(67, sigaction, sigaction) \
    CALL(68, sgetmask, sgetmask) \
    CALL(69, ssetmask, ssetmask) \
    CALL(70, setreuid, setids) \
    CALL(71, setregid, setids) \
    CALL(72, sigsuspend, sigsuspend) \
    CALL(73, sigpending, sigpending) \
    NONE(74, sethostname) \
    CALL(75, setrlimit, setrlimit) \
    CALL(76, getrlimit, old_getrlimit) \
    CALL(77, getrusage, getrusage) \
    CALL(78, gettimeofday, gettimeofday) \
    CALL(79, settimeofday, set_clock) \
    CALL(80, getgroups, getgroups) \
    NONE(81, setgroups) \
    CALL(82, select, select) \
    CALL(83, symlink, symlink) \
    NONE(84, oldlstat) \
    CALL(85, readlink, readlink) \
    NONE(86, uselib) \
    NONE(87, swapon) \
    NONE(88, reboot) \
    NONE(89, readdir) \
    CALL(90, mmap, old_mmap) \
    CALL(91, munmap, munmap) \
    CALL(92, truncate, truncate) \
    CALL(93, ftruncate, ftruncate) \
    CALL(94, fchmod, fchmod) \
    CALL(95, fchown, fchown) \
    CALL(96, getpriority, getpriority) \
    NONE(97, setpriority) \
    NONE(98, profil) \
    CALL(99, statfs, statfs) \
    CALL(100, fstatfs, fstatfs) \
    NONE(101, ioperm) \
    CALL(102, socketcall, socketcall) \
    NONE(103, syslog) \
    CALL(104, setitimer, setitimer) \
    CALL(105, getitimer, getitimer) \
    CALL(106, stat, stat) \
    CALL(107, lstat, lstat) \
    CALL(108, fstat, fstat) \
    NONE(109, olduname) \
    NONE(110, iopl) \
    NONE(111, vhangup) \
    NONE(112, idle) \
    NONE(113, vm86old) \
    CALL(114, wait4, wait4) \
    NONE(115, swapoff) \
    CALL(116, sysinfo, sysinfo) \
    NONE(117, ipc) \
    CALL(118, fsync, fsync) \
    CALL(119, sigreturn, sigreturn) \
    CALL(120, clone, clone) \
    NONE(121, setdomainname) \
    CALL(122, uname, uname) \
    NONE(123, modify_ldt) \
    NONE(124, adjtimex) \
    CALL(125, mprotect, mprotect) \
    CALL(126, sigprocmask, sigprocmask) \
    NONE(127, create_module) \
    NONE(128, init_module) \
    NONE(129, delete_module) \
    NONE(130, get_kernel_syms) \
    NONE(131, quotactl) \
    CALL(132, getpgid, getpgid) \
    CALL(133, fchdir, fchdir) \
    NONE(134, bdflush) \
    NONE(135, sysfs) \
    CALL(136, personality, personality) \
    NONE(137, afs_syscall) \
    NONE(138, setfsuid) \
    NONE(139, setfsgid) \
    CALL(140, _llseek, llseek) \
    CALL(141, getdents, getdents) \
    CALL(142, _newselect, newselect) \
    CALL(143, flock, flock) \
    CALL(144, msync, msync) \
    CALL(145, readv, readv) \
    CALL(146, writev, writev) \
    CALL(147, getsid, getsid) \
    CALL(148, fdatasync, fdatasync) \
    NONE(149, _sysctl) \
    CALL(150, mlock, mlock) \
    CALL(151, munlock, mlock) \
    CALL(152, mlockall, mlock) \
    CALL(153, munlockall, mlock) \
    CALL(154, sched_setparam, sched_setparam) \
    CALL(155, sched_getparam, sched_getparam) \
    CALL(156, sched_setscheduler, sched_setscheduler) \
    CALL(157, sched_getscheduler, sched_getscheduler) \
    CALL(158, sched_yield, sched_yield) \
    CALL(159, sched_get_priority_max, sched_get_priority_max) \
    CALL(160, sched_get_priority_min, sched_get_priority_min) \
    CALL(161, sched_rr_get_interval, sched_rr_get_interval) \
    CALL(162, nanosleep, nanosleep) \
    CALL(163, mremap, mremap) \
    CALL(164, setresuid, setids3) \
    CALL(165, getresuid, getresuid) \
    NONE(166, vm86) \
    NONE(167, query_module) \
    CALL(168, poll, poll) \
    NONE(169, nfsservctl) \
    CALL(170, setresgid, setids3) \
    CALL(171, getresgid, getresuid) \
    CALL(172, prctl, prctl) \
    CALL(173, rt_sigreturn, rt_sigreturn) \
    CALL(174, rt_sigaction, rt_sigaction) \
    CALL(175, rt_sigprocmask, rt_sigprocmask) \
    CALL(176, rt_sigpending, rt_sigpending) \
    CALL(177, rt_sigtimedwait, rt_sigtimedwait) \
    NONE(178, rt_sigqueueinfo) \
    CALL(179, rt_sigsuspend, rt_sigsuspend) \
    CALL(180, pread64, pread64) \
    CALL(181, pwrite64, pwrite64) \
    CALL(182, chown, chown) \
    CALL(183, getcwd, getcwd) \
    NONE(184, capget) \
    NONE(185, capset) \
    CALL(186, sigaltstack, sigaltstack) \
    CALL(187, sendfile, sendfile) \
    NONE(188, getpmsg) \
    NONE(189, putpmsg) \
    CALL(190, vfork, vfork) \
    CALL(191, ugetrlimit, getrlimit) \
    CALL(192, mmap2, mmap2) \
    CALL(193, truncate64, truncate64) \
    CALL(194, ftruncate64, ftruncate64) \
    CALL(195, stat64, stat64) \
    CALL(196, lstat64, lstat64) \
    CALL(197, fstat64, fstat64) \
    CALL(198, lchown32, chown) \
    CALL(199, getuid32, getid) \
    CALL(200, getgid32, getid) \
    CALL(201, geteuid32, getid) \
    CALL(202, getegid32, getid) \
    CALL(203, setreuid32, setids) \
    CALL(204, setregid32, setids) \
    CALL(205, getgroups32, getgroups) \
    NONE(206, setgroups32) \
    CALL(207, fchown32, fchown) \
    CALL(208, setresuid32, setids3) \
    CALL(209, getresuid32, getresuid32) \
    CALL(210, setresgid32, setids3) \
    CALL(211, getresgid32, getresuid32) \
    CALL(212, chown32, chown) \
    CALL(213, setuid32, setid) \
    CALL(214, setgid32, setid) \
    NONE(215, setfsuid32) \
    NONE(216, setfsgid32) \
    NONE(217, pivot_root) \
    CALL(218, mincore, mincore) \
    CALL(219, madvise, madvise) \
    CALL(220, getdents64, getdents64) \
    CALL(221, fcntl64, fcntl64) \
    CALL(224, gettid, gettid) \
    NONE(225, readahead) \
    CALL(226, setxattr, xattr) \
    CALL(227, lsetxattr, xattr) \
    CALL(228, fsetxattr, xattr) \
    CALL(229, getxattr, xattr) \
    CALL(230, lgetxattr, xattr) \
    CALL(231, fgetxattr, xattr) \
    CALL(232, listxattr, xattr) \
    CALL(233, llistxattr, xattr) \
    CALL(234, flistxattr, xattr) \
    CALL(235, removexattr, xattr) \
    CALL(236, lremovexattr, xattr) \
    CALL(237, fremovexattr, xattr) \
    CALL(238, tkill, tkill) \
    CALL(239, sendfile64, sendfile64) \
    CALL(240, futex, futex) \
    CALL(241, sched_setaffinity, sched_setaffinity) \
    CALL(242, sched_getaffinity, sched_getaffinity) \
    CALL(243, set_thread_area, set_thread_area) \
    CALL(244, get_thread_area, get_thread_area) \
    NONE(245, io_setup) \
    NONE(246, io_destroy) \
    NONE(247, io_getevents) \
    NONE(248, io_submit) \
    NONE(249, io_cancel) \
    CALL(250, fadvise64, fadvise) \
    CALL(252, exit_group, exit_group) \
    NONE(253, lookup_dcookie) \
    CALL(254, epoll_create, epoll_create) \
    CALL(255, epoll_ctl, epoll_ctl) \
    CALL(256, epoll_wait, epoll_wait) \
    NONE(257, remap_file_pages) \
    CALL(258, set_tid_address, set_tid_address) \
    CALL(259, timer_create, timer_create) \
    CALL(260, timer_settime, timer_settime) \
    CALL(261, timer_gettime, timer_gettime) \
    CALL(262, timer_getoverrun, timer_getoverrun) \
    CALL(263, timer_delete, timer_delete) \
    CALL(264, clock_settime, set_clock) \
    CALL(265, clock_gettime, clock_gettime) \
    CALL(266, clock_getres, clock_getres) \
    CALL(267, clock_nanosleep, clock_nanosleep) \
    CALL(268, statfs64, statfs64) \
    CALL(269, fstatfs64, fstatfs64) \
    CALL(270, tgkill, tgkill) \
    CALL(271, utimes, utimes) \
    CALL(272, fadvise64_64, fadvise) \
    NONE(273, vserver) \
    NONE(274, mbind) \
    NONE(275, get_mempolicy) \
    NONE(276, set_mempolicy) \
    NONE(277, mq_open) \
    NONE(278, mq_unlink) \
    NONE(279, mq_timedsend) \
    NONE(280, mq_timedreceive) \
    NONE(281, mq_notify) \
    NONE(282, mq_getsetattr) \
    NONE(283, kexec_load) \
    CALL(284, waitid, waitid) \
    NONE(286, add_key) \
    NONE(287, request_key) \
    NONE(288, keyctl) \
    NONE(289, ioprio_set) \
    NONE(290, ioprio_get) \
    NONE(291, inotify_init) \
    NONE(292, inotify_add_watch) \
    NONE(293, inotify_rm_watch) \
    NONE(294, migrate_pages) \
    CALL(295, openat, openat) \
    CALL(296, mkdirat, mkdirat) \
    CALL(297, mknodat, mknodat) \
    CALL(298, fchownat, fchownat) \
    CALL(299, futimesat, futimesat) \
    CALL(300, fstatat64, fstatat64) \
    CALL(301, unlinkat, unlinkat) \
    CALL(302, renameat, renameat) \
    CALL(303, linkat, linkat) \
    CALL(304, symlinkat, symlinkat) \
    CALL(305, readlinkat, readlinkat) \
    CALL(306, fchmodat, fchmodat) \
    CALL(307, faccessat, faccessat) \
    CALL(308, pselect6, pselect6) \
    CALL(309, ppoll, ppoll) \
    NONE(310, unshare) \
    CALL(311, set_robust_list, set_robust_list) \
    NONE(312, get_robust_list) \
    NONE(313, splice) \
    NONE(314, sync_file_range) \
    NONE(315, tee) \
    NONE(316, vmsplice) \
    NONE(317, move_pages) \
    CALL(318, getcpu, getcpu) \
    CALL(319, epoll_pwait, epoll_pwait) \
    CALL(320, utimensat, utimensat) \
    NONE(321, signalfd) \
    CALL(322, timerfd_create, timerfd_create) \
    CALL(323, eventfd, eventfd) \
    CALL(324, fallocate, fallocate) \
    CALL(325, timerfd_settime, timerfd_settime) \
    CALL(326, timerfd_gettime, timerfd_gettime) \
    NONE(327, signalfd4) \
    CALL(328, eventfd2, eventfd2) \
    CALL(329, epoll_create1, epoll_create1) \
    CALL(330, dup3, dup3) \
    CALL(331, pipe2, pipe2) \
    NONE(332, inotify_init1) \
    CALL(333, preadv, preadv) \
    CALL(334, pwritev, pwritev) \
    NONE(335, rt_tgsigqueueinfo) \
    NONE(336, perf_event_open) \
    CALL(337, recvmmsg, recvmmsg) \
    NONE(338, fanotify_init) \
    NONE(339, fanotify_mark) \
    CALL(340, prlimit64, prlimit64) \
    NONE(341, name_to_handle_at) \
    NONE(342, open_by_handle_at) \
    NONE(343, clock_adjtime) \
    NONE(344, syncfs) \
    CALL(345, sendmmsg, sendmmsg) \
    NONE(346, setns) \
    NONE(347, process_vm_readv) \
    NONE(348, process_vm_writev) \
    NONE(349, kcmp) \
    NONE(350, finit_module) \
    NONE(351, sched_setattr) \
    NONE(352, sched_getattr) \
    CALL(353, renameat2, renameat2) \
    NONE(354, seccomp) \
    CALL(355, getrandom, getrandom) \
    NONE(356, memfd_create) \
    NONE(357, bpf) \
    CALL(358, execveat, execveat) \
    CALL(359, socket, socket) \
    CALL(360, socketpair, socketpair) \
    CALL(361, bind, bind) \
    CALL(362, connect, connect) \
    CALL(363, listen, listen) \
    CALL(364, accept4, accept4) \
    CALL(365, getsockopt, getsockopt) \
    CALL(366, setsockopt, setsockopt) \
    CALL(367, getsockname, getsockname) \
    CALL(368, getpeername, getpeername) \
    CALL(369, sendto, sendto) \
    CALL(370, sendmsg, sendmsg) \
    CALL(371, recvfrom, recvfrom) \
    CALL(372, recvmsg, recvmsg) \
    CALL(373, shutdown, shutdown) \
    NONE(374, userfaultfd) \
    NONE(375, membarrier) \
    CALL(376, mlock2, mlock) \
    NONE(377, copy_file_range) \
    CALL(378, preadv2, preadv2) \
    CALL(379, pwritev2, pwritev2) \
    NONE(380, pkey_mprotect) \
    NONE(381, pkey_alloc) \
    NONE(382, pkey_free) \
    CALL(383, statx, statx) \
    NONE(384, arch_prctl) \
    NONE(385, io_pgetevents) \
    NONE(386, rseq) \
    NONE(393, semget) \
    NONE(394, semctl) \
    NONE(395, shmget) \
    NONE(396, shmctl) \
    NONE(397, shmat) \
    NONE(398, shmdt) \
    NONE(399, msgget) \
    NONE(400, msgsnd) \
    NONE(401, msgrcv) \
    NONE(402, msgctl) \
    CALL(403, clock_gettime64, clock_gettime64) \
    CALL(404, clock_settime64, set_clock) \
    NONE(405, clock_adjtime64) \
    CALL(406, clock_getres_time64, clock_getres_time64) \
    CALL(407, clock_nanosleep_time64, clock_nanosleep_time64) \
    CALL(408, timer_gettime64, timer_gettime64) \
    CALL(409, timer_settime64, timer_settime64) \
    CALL(410, timerfd_gettime64, timerfd_gettime64) \
    CALL(411, timerfd_settime64, timerfd_settime64) \
    CALL(412, utimensat_time64, utimensat_time64) \
    CALL(413, pselect6_time64, pselect6_time64) \
    CALL(414, ppoll_time64, ppoll_time64) \
    NONE(416, io_pgetevents_time64) \
    CALL(417, recvmmsg_time64, recvmmsg_time64) \
    NONE(418, mq_timedsend_time64) \
    NONE(419, mq_timedreceive_time64) \
    NONE(420, semtimedop_time64) \
    CALL(421, rt_sigtimedwait_time64, rt_sigtimedwait_time64) \
    CALL(422, futex_time64, futex_time64) \
    CALL(423, sched_rr_get_interval_time64, sched_rr_get_interval_time64) \
    NONE(424, pidfd_send_signal) \
    NONE(425, io_uring_setup) \
    NONE(426, io_uring_enter) \
    NONE(427, io_uring_register) \
    NONE(428, open_tree) \
    NONE(429, move_mount) \
    NONE(430, fsopen) \
    NONE(431, fsconfig) \
    NONE(432, fsmount) \
    NONE(433, fspick) \
    NONE(434, pidfd_open) \
    NONE(435, clone3) \
    CALL(436, close_range, close_range) \
    NONE(437, openat2) \
    NONE(438, pidfd_getfd) \
    CALL(439, faccessat2, faccessat2) \
    NONE(440, process_madvise) \
    CALL(441, epoll_pwait2, epoll_pwait2) \
    NONE(442, mount_setattr) \
    NONE(443, quotactl_fd) \
    NONE(444, landlock_create_ruleset) \
    NONE(445, landlock_add_rule) \
    NONE(446, landlock_restrict_self) \
    NONE(447, memfd_secret) \
    NONE(448, process_mrelease) \
    NONE(449, futex_waitv) \
    NONE(450, set_mempolicy_home_node) \

/* Several names may share a handler: repeated declarations are harmless. */
#define VXL_DECLARE(number, name, handler) vxl_handler vxl_##handler;
#define VXL_NOTHING(number, name)
VXL_CALLS(VXL_DECLARE, VXL_NOTHING)
#undef VXL_DECLARE
#undef VXL_NOTHING

#endif
