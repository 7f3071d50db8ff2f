# The bearer token of a REGISTER, verified for Kamailio by Debian's python3-jwt: the Debian packages have no module of
# Kamailio's own for it.
import jwt
import KSR

KEY = open("@FOLDER@/public.pem").read()


def mod_init():
    return Bearer()


class Bearer:
    def child_init(self, rank):
        return 0

    def verify(self, message):
        header = KSR.pv.get("$hdr(Authorization)") or ""
        try:
            jwt.decode(header[len("Bearer "):], KEY, algorithms=["RS256"], audience="@CLOUD@")
        except jwt.InvalidTokenError:
            return -1
        return 1
