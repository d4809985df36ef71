/** The topic of PHIP tokens and withdrawals (BRC-87 name; protocol section 5). */
export const PHIP_TOPIC = 'tm_phip'
/** The lookup service over them (BRC-87 name; BRC-34 calls it `PHIP`). */
export const PHIP_SERVICE = 'ls_phip'
/** The topic of host advertisements, by which stock message box clients say where they read. */
export const MESSAGEBOX_TOPIC = 'tm_messagebox'
/** The lookup service over them, by which those clients learn where to send. */
export const MESSAGEBOX_SERVICE = 'ls_messagebox'
