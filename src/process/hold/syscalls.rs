//! Seccomp: no way to the network, to other programs, or out of the namespaces.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule,
};

/// What no command needs, and much harm is done with.
const DENIED: &[c_long] = &[
    // Looking into other programs.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Other namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // What does the work of other calls, out of sight.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The kernel's own.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];

/// Namespaces that a new process could be in.
const NEW: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The same calls by other numbers: a second table of x86-64 that some kernels have.
#[cfg(target_arch = "x86_64")]
const ALSO: Option<i64> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const ALSO: Option<i64> = None;

/// Calls that have a number of their own in that table, by the one that they have in the first.
#[cfg(target_arch = "x86_64")]
const ELSEWHERE: &[(c_long, c_long)] = &[
    (libc::SYS_ioctl, 514),
    (libc::SYS_ptrace, 521),
    (libc::SYS_kexec_load, 528),
    (libc::SYS_process_vm_readv, 539),
    (libc::SYS_process_vm_writev, 540),
];
#[cfg(not(target_arch = "x86_64"))]
const ELSEWHERE: &[(c_long, c_long)] = &[];

/// Holds this process and what it starts.
pub(super) fn hold(network: bool) -> Result<(), String> {
    let apply = || -> Result<(), Box<dyn std::error::Error>> {
        seccompiler::apply_filter(&filter(rules(network)?, libc::EPERM)?)?;
        // Its flags are where a filter cannot look; programs fall back on the older call.
        seccompiler::apply_filter(&filter(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?)?;
        Ok(())
    };
    apply().map_err(|error| format!("this system lets no program limit its system calls (seccomp): {error}"))
}

/// The same rules for every number that a call has.
fn by_all_numbers(mut rules: BTreeMap<c_long, Vec<Rule>>) -> BTreeMap<c_long, Vec<Rule>> {
    let elsewhere = ELSEWHERE.iter().filter_map(|(own, other)| Some((*other, rules.get(own)?.clone())));
    let elsewhere: Vec<_> = elsewhere.collect();
    rules.extend(elsewhere);
    if let Some(also) = ALSO {
        let more: Vec<_> = rules.iter().map(|(number, rules)| (number | also, rules.clone())).collect();
        rules.extend(more);
    }
    rules
}

fn filter(rules: BTreeMap<c_long, Vec<Rule>>, errno: libc::c_int) -> Result<BpfProgram, Box<dyn std::error::Error>> {
    let rules = by_all_numbers(rules);
    let errno = SeccompAction::Errno(u32::try_from(errno)?);
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()?)
}

fn rules(network: bool) -> Result<BTreeMap<c_long, Vec<Rule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<c_long, Vec<Rule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let argument =
        |number, is, value: libc::c_int| Condition::new(number, Length::Dword, is, u64::from(value.unsigned_abs()));
    // Other programs listen on the sockets of this machine, and do much for who asks; so those are never to be had.
    let sockets = match network {
        false => Vec::new(),
        true => vec![Rule::new(vec![
            argument(0, Is::Ne, libc::AF_INET)?,
            argument(0, Is::Ne, libc::AF_INET6)?,
            argument(0, Is::Ne, libc::AF_NETLINK)?,
        ])?],
    };
    rules.insert(libc::SYS_socket, sockets);
    // A pair is between a program and itself, unless it is of datagrams: those can be sent elsewhere.
    let kind = Is::MaskedEq(0xf);
    rules.insert(
        libc::SYS_socketpair,
        vec![
            Rule::new(vec![argument(0, Is::Ne, libc::AF_UNIX)?])?,
            Rule::new(vec![argument(1, kind.clone(), libc::SOCK_DGRAM)?])?,
            Rule::new(vec![argument(1, kind, libc::SOCK_RAW)?])?,
        ],
    );
    let namespaces = NEW.iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        Rule::new(vec![Condition::new(0, Length::Dword, Is::MaskedEq(flag), flag)?])
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    // Typing into a terminal.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| Rule::new(vec![Condition::new(1, Length::Dword, Is::Eq, request)?]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn a3_14_calls_are_denied_by_their_numbers_in_the_second_table_too() {
        let rules = by_all_numbers(rules(false).expect("rules"));
        for (own, other) in [(libc::SYS_mount, libc::SYS_mount), (libc::SYS_socket, libc::SYS_socket)]
            .into_iter()
            .chain([(libc::SYS_ioctl, 514), (libc::SYS_ptrace, 521), (libc::SYS_kexec_load, 528)])
            .chain([(libc::SYS_process_vm_readv, 539), (libc::SYS_process_vm_writev, 540)])
        {
            assert_eq!(rules.get(&(0x4000_0000 | other)), rules.get(&own), "{own} is {other} there");
            assert!(rules.contains_key(&own));
        }
    }
}
