//! The frames, by hand.

use crate::model::double::Event;

/// A message of an event stream. A name that begins with `!` is an exception's.
pub(in crate::model::double) fn encode(event: &Event) -> Vec<u8> {
    message(&headers(event), event.data.as_bytes())
}

/// The same with headers of every type, which nobody needs; a name that begins with `?` is an error's.
pub(crate) fn strange_frame(event: &Event) -> Vec<u8> {
    let mut all = Vec::new();
    let values: [(u8, &[u8]); 9] = [
        (0, &[]),
        (1, &[]),
        (2, &[7]),
        (3, &[0, 7]),
        (4, &[0, 0, 0, 7]),
        (5, &[0, 0, 0, 0, 0, 0, 0, 7]),
        (6, &[0, 2, 1, 2]),
        (8, &[0, 0, 1, 0x8f, 0, 0, 0, 0]),
        (9, &[7; 16]),
    ];
    for (kind, value) in values {
        all.extend([3, b'x', b'-', b'0' + kind, kind]);
        all.extend(value);
    }
    all.extend(headers(event));
    message(&all, event.data.as_bytes())
}

fn headers(event: &Event) -> Vec<u8> {
    let name = event.name.trim_start_matches(['!', '?']);
    let named = match event.name.as_bytes().first() {
        Some(b'!') => {
            vec![(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")]
        }
        Some(b'?') => vec![(":error-code", name), (":error-message", "It failed."), (":message-type", "error")],
        _ => vec![(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
    };
    let mut headers = Vec::new();
    for (name, value) in named {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend(name.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.as_bytes());
    }
    headers
}

/// The frame around headers and a payload.
fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(headers.len() + payload.len() + 16).unwrap();
    let mut bytes = total.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

/// The checksum of Ethernet, zip files and event streams.
pub(in crate::model::double) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
