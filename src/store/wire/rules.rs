//! What must hold between the fields of a record (the reference, section 1.3),
//! stated once on the model's record, for reading and for writing.

use super::{Reason, not_blank, time_text};
use crate::model::name::is_registry_token;
use crate::model::{Lifecycle, LifecycleState, Record};
use std::path::Path;

/// The years Houmao's times can have.
const YEARS: std::ops::RangeInclusive<i16> = 1..=9999;

/// The first rule that the record breaks.
pub(crate) fn check(record: &Record) -> Result<(), Reason> {
    token("agent_name", &record.name)?;
    token("agent_id", record.id.as_str())?;
    not_blank("generation_id", &record.generation)?;
    not_blank("identity.tool", &record.tool)?;
    path("runtime.manifest_path", &record.manifest_path)?;
    for (field, value) in
        [("runtime.session_root", &record.session_root), ("runtime.agent_def_dir", &record.agent_def_dir)]
    {
        value.as_ref().map_or(Ok(()), |value| path(field, value))?;
    }
    not_blank("terminal.last_session_name", &record.last_session)?;
    lifecycle(&record.lifecycle)?;
    if record.lifecycle.state.is_live() { live(record) } else { ended(record) }
}

fn lifecycle(lifecycle: &Lifecycle) -> Result<(), Reason> {
    let state = lifecycle.state.as_str();
    year("lifecycle.state_updated_at", lifecycle.updated_at)?;
    if let Some(reason) = &lifecycle.stop_reason {
        not_blank("lifecycle.stop_reason", reason)?;
    }
    match (lifecycle.state.is_live(), lifecycle.stopped_at) {
        (true, Some(_)) => return Err(format!("lifecycle.stopped_at is set and the state is {state}")),
        (false, None) => return Err(format!("lifecycle.stopped_at is missing and the state is {state}")),
        (false, Some(at)) => year("lifecycle.stopped_at", at)?,
        (true, None) => {}
    }
    if lifecycle.state.is_live() && lifecycle.stop_reason.is_some() {
        return Err(format!("lifecycle.stop_reason is set and the state is {state}"));
    }
    if lifecycle.state == LifecycleState::Retired && lifecycle.relaunchable {
        return Err("lifecycle.relaunchable is true and the state is retired".to_owned());
    }
    Ok(())
}

fn live(record: &Record) -> Result<(), Reason> {
    let state = record.lifecycle.state.as_str();
    let Some(session) = &record.session else {
        return Err(format!("terminal.current_session_name is missing and the state is {state}"));
    };
    not_blank("terminal.current_session_name", session)?;
    let Some(lease) = record.lease else {
        return Err(format!("liveness is missing and the state is {state}"));
    };
    year("liveness.published_at", lease.published_at)?;
    year("liveness.lease_expires_at", lease.expires_at)?;
    // Compared as they are written, in whole seconds.
    if lease.expires_at.as_second() <= lease.published_at.as_second() {
        return Err(format!("liveness.lease_expires_at, {}, is not after published_at", time_text(lease.expires_at)));
    }
    let Some(gateway) = &record.gateway else { return Ok(()) };
    if !["127.0.0.1", "0.0.0.0"].contains(&gateway.host.as_str()) {
        return Err(format!("gateway.host is {:?}, which is neither 127.0.0.1 nor 0.0.0.0", gateway.host));
    }
    if gateway.port == 0 {
        return Err("gateway.port is 0".to_owned());
    }
    path("gateway.state_path", &gateway.state_path)
}

fn ended(record: &Record) -> Result<(), Reason> {
    let left_over = [
        ("terminal.current_session_name", record.session.is_some()),
        ("liveness", record.lease.is_some()),
        ("gateway", record.gateway.is_some()),
    ];
    match left_over.iter().find(|(_, there)| *there) {
        Some((field, _)) => Err(format!("{field} is set and the state is {}", record.lifecycle.state.as_str())),
        None => Ok(()),
    }
}

fn token(field: &str, text: &str) -> Result<(), Reason> {
    if is_registry_token(text) {
        return Ok(());
    }
    Err(format!("{field} is {text:?}, which is not letters, digits, '_' and '-' beginning with a letter or digit"))
}

fn path(field: &str, path: &Path) -> Result<(), Reason> {
    path.to_str().map_or_else(|| Err(format!("{field} is {path:?}, which is not UTF-8")), |text| not_blank(field, text))
}

fn year(field: &str, time: jiff::Timestamp) -> Result<(), Reason> {
    let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
    if YEARS.contains(&year) { Ok(()) } else { Err(format!("{field} is in the year {year}")) }
}
