//! Pages of Ogg around packets of a test.

// Every test target uses its own part of this.
#![allow(dead_code)]

/// A page of whole packets.
pub fn page(flags: u8, position: i64, serial: u32, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lengths = Vec::new();
    for packet in packets {
        lengths.extend(vec![255; packet.len() / 255]);
        lengths.push((packet.len() % 255) as u8);
    }
    let mut all = [b"OggS\0", &[flags][..], &position.to_le_bytes()].concat();
    all.extend([serial, number, 0].map(u32::to_le_bytes).concat());
    all.push(lengths.len() as u8);
    all.extend(lengths);
    all.extend(packets.concat());
    let sum = checksum(&all).to_le_bytes();
    all[22..26].copy_from_slice(&sum);
    all
}

/// FLAC in Ogg, of a FLAC file of a single frame.
pub fn of_flac(flac: &[u8], samples: i64) -> Vec<u8> {
    let first = [&b"\x7fFLAC\x01\0\0\x01"[..], &flac[..42]].concat();
    let comment = [&[0x84, 0, 0, 8][..], &[0; 8]].concat();
    let pages = [
        page(2, 0, 7, 0, &[&first]),
        page(0, 0, 7, 1, &[&comment]),
        page(4, samples, 7, 2, &[&flac[42..]]),
    ];
    pages.concat()
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| (sum << 1) ^ ((sum >> 31) * 0x04c1_1db7))
    })
}
