"""A Django site with nothing in it but django-oauth-toolkit: settings, addresses, and what `load` needs registered."""

import os
from urllib.parse import urlsplit

import django
from django.conf import settings

DATABASE = urlsplit(os.environ["BENCH_DATABASE"])
HERE = os.path.dirname(os.path.abspath(__file__))


def signing_key():
    """RS256 is all that it signs ID tokens with; the key is made once a run, for every worker."""
    with open(os.environ["BENCH_KEY"], encoding="utf-8") as file:
        return file.read()


settings.configure(
    DEBUG=False,
    SECRET_KEY="a key of this benchmark alone",
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "DIRS": [os.path.join(HERE, "templates")],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": DATABASE.path[1:], "USER": DATABASE.username,
        "HOST": DATABASE.hostname, "PORT": DATABASE.port, "CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGIN_URL="/login/",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True, "OIDC_RSA_PRIVATE_KEY": signing_key(), "PKCE_REQUIRED": True,
        "SCOPES": {"openid": "openid", "notes:read": "notes", "introspection": "introspection"}},
)
django.setup()

# What follows needs the settings.
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", LoginView.as_view(template_name="login.html")),
]
application = get_wsgi_application()


def set_up(hashed):
    """Tables, clients, a user."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("bench-user", password="a lamp for every harbour")
    of_all = {"user": user, "client_type": Application.CLIENT_CONFIDENTIAL, "hash_client_secret": hashed}
    clients = {
        "bench-job": {"authorization_grant_type": Application.GRANT_CLIENT_CREDENTIALS},
        "bench-api": {"authorization_grant_type": Application.GRANT_CLIENT_CREDENTIALS},
        # Its own memory of a consent is to read every token of the user; not to ask at all is faster.
        "bench-web": {
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE, "algorithm": Application.RS256_ALGORITHM,
            "redirect_uris": "https://app.example.com/callback", "skip_authorization": True},
    }
    for name, own in clients.items():
        Application.objects.create(
            client_id=name, name=name, client_secret=f"{name}-secret-0123456789-abcdef", **of_all, **own)
