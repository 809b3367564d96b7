"""A Django service in one file, for an interpreter that has Django: prints its port, and ends with its stdin.

Pages: /orders/N (templates, the ORM on SQLite), /report (aggregates), /feed (JSON)."""

import os
import socketserver
import sys
import tempfile
import threading
from wsgiref import simple_server

import django
from django.conf import settings

FOLDER = tempfile.mkdtemp(prefix="pyperf-django-")
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(FOLDER, "orders.sqlite")}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.gzip.GZipMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {}}],
)
django.setup()

from django.db import connection, models  # noqa: E402  # after setup
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402


class Order(models.Model):
    customer = models.CharField(max_length=40)
    cents = models.IntegerField()

    class Meta:
        app_label = "orders"


PAGE = engines["django"].from_string(
    "<h1>{{ title|upper }}</h1><table>{% for one in orders %}<tr class='{% cycle 'a' 'b' %}'><td>{{ one.customer|title }}"
    "</td><td>{{ one.cents|floatformat:2 }}</td></tr>{% empty %}<tr><td>none</td></tr>{% endfor %}</table>"
)


def orders(request, number):
    some = Order.objects.filter(customer__startswith="customer %d" % (number % 10)).order_by("-cents")[:25]
    return HttpResponse(PAGE.render({"title": "orders %d" % number, "orders": some}, request))


def report(request):
    rows = Order.objects.values("customer").annotate(sum=models.Sum("cents"), count=models.Count("id"))
    return JsonResponse({row["customer"]: [row["sum"], row["count"]] for row in rows})


def feed(request):
    return JsonResponse({"orders": [{"id": one.id, "cents": one.cents} for one in Order.objects.all()[:40]]})


urlpatterns = [path("orders/<int:number>", orders), path("report", report), path("feed", feed)]


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class Handler(simple_server.WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def main():
    from django.core.wsgi import get_wsgi_application

    with connection.schema_editor() as editor:
        editor.create_model(Order)
    Order.objects.bulk_create(Order(customer="customer %d" % (i % 50), cents=i * 37 % 9999) for i in range(500))
    server = simple_server.make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()
    os.unlink(settings.DATABASES["default"]["NAME"])
    os.rmdir(FOLDER)


main()
