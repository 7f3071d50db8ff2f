# Whether a request comes from offhook: it is signed with the secret of its service, and not minutes ago.
import hashlib, hmac, time

def is_ours(headers, instance, secret):
    at = headers.get("X-Offhook-Timestamp", "")
    made = hmac.new(secret.encode(), at.encode() + b"." + instance, hashlib.sha256).hexdigest()
    is_signed = hmac.compare_digest(headers.get("X-Offhook-Signature", "").encode(), b"v1=" + made.encode())
    return is_signed and abs(time.time() - int(at)) < 300
