//! Names and what they are refused with: such a text ends up in the log of whoever reads it.

use apollo_wire::{DeviceName, InstanceId, NameError, ProcessRef};

#[test]
fn a_name_prints_as_it_was_read() -> Result<(), NameError> {
    assert_eq!("buoy-1.north".parse::<DeviceName>()?.to_string(), "buoy-1.north");
    assert_eq!("default/a".parse::<ProcessRef>()?.to_string(), "default/a");
    let instance = "0192f7c4-8a11-7d3b-9c5e-426fa0d81733";
    assert_eq!(instance.parse::<InstanceId>()?.to_string(), instance);
    Ok(())
}

#[test]
fn a_refused_name_is_quoted_up_to_80_characters() {
    let refused = |name: &str| name.parse::<DeviceName>().map_err(|error| error.to_string());
    let said = refused("Buoy").unwrap_err();
    assert!(
        said.starts_with("device \"Buoy\" is not a DNS-1123 name"),
        "{said}"
    );
    let said = refused(&"Ä".repeat(1_000)).unwrap_err();
    assert_eq!(said.matches('Ä').count(), 80, "{said}");
}

#[test]
fn a_process_with_too_many_slashes_is_said_to_have_them() {
    let refused = "a/b/c".parse::<ProcessRef>();
    assert_eq!(refused, Err(NameError::NotNamespaced("a/b/c".to_owned())));
}
