/** The topic of PHIP tokens and withdrawals (BRC-87 name; protocol section 5). */
export const PHIP_TOPIC = 'tm_phip'
/** The lookup service over them (BRC-87 name; BRC-34 calls it `PHIP`). */
export const PHIP_SERVICE = 'ls_phip'
